// A WhatsApp number: connecting one, and changing what the gateway knows of it. The token is written, never read.

import { api, query } from '../api.js';
import { go, setTitle } from '../router.js';
import { noteNumber, state } from '../state.js';
import { fill, h } from '../ui/dom.js';
import { empty, notice } from '../ui/parts.js';
import { toast } from '../ui/toast.js';
import { crumbs, mayConnect } from './settings.js';

const PLANS = [['starter', 'Starter'], ['growth', 'Growth'], ['advanced', 'Advanced'], ['sales_crm', 'Sales CRM']];
const PLATFORMS = [['cloud_api', 'Cloud API'], ['business_app', 'WhatsApp Business app']];

export function numberView(root, _scope, _parameters, search) {
  if (!mayConnect(root)) return;
  const id = search.get('id');
  const number = state.numbers.find((one) => one.id === id) ?? null;
  const title = id === null ? 'Connect a number' : 'Number and token';
  setTitle(title);
  const form = id !== null && number === null ? empty('phone', 'No such number', 'It may have been written wrong in the address.') : numberForm(number);
  fill(root, h('div', { class: 'page page-narrow' },
    h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings'], ['/settings/channels', 'Channel Settings']), h('h1', { tabindex: -1 }, title))),
    h('section', { class: 'card', ariaLabel: title }, h('div', { class: 'card-pad card-top' }, form))));
}

function numberForm(number) {
  const input = (name, properties) => h('input', { class: 'input', name, autocomplete: 'off', spellcheck: 'false', ...properties });
  const select = (name, options) => h('select', { class: 'select', name }, options.map(([value, label]) => h('option', { value, selected: number?.[name] === value }, label)));
  const controls = {
    id: input('id', { inputmode: 'numeric', value: number?.id ?? '', readonly: number !== null }),
    display_phone_number: input('display_phone_number', { type: 'tel', value: number?.display_phone_number ?? '', placeholder: '+995322000111' }),
    graph_token: input('graph_token', { type: 'password', autocomplete: 'new-password' }),
    plan: select('plan', PLANS),
    messaging_limit: input('messaging_limit', { type: 'number', min: 0, step: 1, value: number?.messaging_limit ?? 250 }),
    platform: select('platform', PLATFORMS),
  };
  const crm = h('input', { type: 'checkbox', testid: 'number-crm', checked: number?.add_ons.includes('sales_crm') ?? false });
  const trouble = h('div', { ariaLive: 'assertive', testid: 'number-trouble' });
  const send = h('button', { type: 'submit', class: 'btn btn-primary', testid: 'number-save' }, number ? 'Save' : 'Connect');
  const wrong = new Map();

  function field(name, label, hint) {
    const control = controls[name];
    control.id = `number-${name}`;
    control.dataset.testid = control.id;
    const fault = h('p', { class: 'field-error', id: `${control.id}-wrong`, testid: `${control.id}-wrong`, hidden: true });
    control.setAttribute('aria-describedby', `${control.id}-hint ${fault.id}`);
    wrong.set(name, fault);
    return h('div', { class: 'field' }, h('label', { for: control.id }, label), control, h('p', { class: 'dim small', id: `${control.id}-hint` }, hint), fault);
  }

  /** A sentence at its field, or below all of them. */
  function say(sentence, name) {
    for (const [one, fault] of wrong) {
      fault.textContent = one === name ? sentence : '';
      fault.hidden = one !== name;
      controls[one].setAttribute('aria-invalid', String(one === name));
    }
    fill(trouble, sentence && !wrong.has(name) && notice('stop', 'warn', sentence));
    if (wrong.has(name)) controls[name].focus();
  }

  async function submit(event) {
    event.preventDefault();
    const [id, phone, token] = [controls.id, controls.display_phone_number, controls.graph_token].map(({ value }) => value.trim());
    if (!/^\d+$/.test(id)) return say('Copy the digits that Meta shows as “Phone number ID”.', 'id');
    if (number === null && state.numbers.some((one) => one.id === id)) return say('This number is connected already. Change it under Channel Settings.', 'id');
    if (!phone) return say('Write the number with its country code, such as +995322000111.', 'display_phone_number');
    if (number === null && !token) return say('Paste the token: without it WhatsApp takes nothing from this gateway.', 'graph_token');
    if (!/^\d+$/.test(controls.messaging_limit.value)) return say('Write a whole number, 0 or more.', 'messaging_limit');
    say(null);
    send.disabled = true;
    try {
      const saved = await api.put(`/v1/numbers/${encodeURIComponent(id)}`, {
        display_phone_number: phone.replace(/[\s()-]/g, ''),
        plan: controls.plan.value,
        add_ons: crm.checked ? ['sales_crm'] : [],
        messaging_limit: Number(controls.messaging_limit.value),
        platform: controls.platform.value,
        ...(token && { graph_token: token }),
      });
      noteNumber(saved);
      toast({ title: saved.display_phone_number, text: number ? 'Saved.' : 'The number is connected.', tone: 'go' });
      go(query('/settings/channels/voice-calling', { number: saved.id }));
    } catch (error) {
      say(error.message, error.field);
    } finally {
      send.disabled = false;
    }
  }

  return h('form', { class: 'stack-gap', onsubmit: submit, novalidate: true, testid: 'number-form' },
    field('id', 'Phone number ID', number ? 'Meta’s name for the number. It does not change.' : 'In Meta’s app dashboard under WhatsApp › API Setup, below the number; digits only.'),
    field('display_phone_number', 'Number', 'As in Meta’s WhatsApp Manager under Phone numbers, with its country code.'),
    field('graph_token', 'Graph token', number?.graph_token_set ? 'Leave it empty to keep the one there is; it is never shown.' : 'In Meta’s Business settings under System users: a token with whatsapp_business_messaging and whatsapp_business_management.'),
    h('div', { class: 'pair' },
      field('plan', 'Plan', 'The plan you booked for this number; calls come with some of them.'),
      field('messaging_limit', 'Messaging limit', 'Customers a day, as WhatsApp Manager shows it at the number; a new number has 250.')),
    h('label', { class: 'check' }, crm, h('span', null, h('strong', null, 'Sales CRM add-on'), h('span', { class: 'dim small block' }, 'Booked beside the plan.'))),
    field('platform', 'Platform', 'Only numbers on the Cloud API take calls; WhatsApp Manager names the platform at the number.'),
    trouble, h('div', { class: 'row' }, send));
}
