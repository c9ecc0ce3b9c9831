// A customer who has not called yet: a number and a name.

import { api } from '../api.js';
import { go } from '../router.js';
import { state } from '../state.js';
import { openDialog } from './dialog.js';
import { fill, h, icon } from './dom.js';
import { notice } from './parts.js';

/** The button that asks for both; null for who may not say whose customers are. */
export function addContact() {
  const { assign } = state.session.grants ?? {};
  if (assign !== 'all' && !(assign === 'team' && state.agent.team_id)) return null;
  return h('button', { type: 'button', class: 'btn btn-primary', testid: 'contact-new', onclick: ask }, icon('plus', 'icon-s'), 'Add a contact');
}

function ask() {
  const phone = h('input', { class: 'input', id: 'contact-phone', testid: 'contact-phone', type: 'tel', autocomplete: 'off', placeholder: '+995555010203' });
  const name = h('input', { class: 'input', id: 'contact-name', testid: 'contact-name', maxlength: 200, autocomplete: 'off' });
  const trouble = h('div', { ariaLive: 'assertive', testid: 'contact-trouble' });
  const send = h('button', { type: 'submit', form: 'contact-form', class: 'btn btn-primary', testid: 'contact-save' }, 'Add');
  const say = (...words) => fill(trouble, notice('stop', 'warn', ...words));
  const close = openDialog({
    title: 'Add a contact',
    testid: 'contact-dialog',
    build: (dialog) => ({
      body: h('form', { id: 'contact-form', class: 'stack-gap', onsubmit: submit, novalidate: true },
        h('div', { class: 'field' }, h('label', { for: 'contact-phone' }, 'Number, with its country code'), phone),
        h('div', { class: 'field' }, h('label', { for: 'contact-name' }, 'Name'), name), trouble),
      foot: [h('button', { type: 'button', class: 'btn', onclick: dialog.close }, 'Close'), send],
    }),
  });
  phone.focus();

  async function submit(event) {
    event.preventDefault();
    const digits = phone.value.replace(/\D/g, '');
    if (digits.length < 7) return say('Write the number with its country code, such as +995555010203.');
    if (!name.value.trim()) return say('Write the name: it is what an incoming call shows.');
    send.disabled = true;
    try {
      const path = `/v1/contacts/${encodeURIComponent(`wa:${digits}`)}`;
      const known = await api.get(path).catch((error) => { if (error.status !== 404) throw error; });
      if (known) return say('This number is a contact already: ', h('a', { href: `/contacts/${encodeURIComponent(known.id)}`, onclick: close }, 'open it'), '.');
      const made = await api.put(path, { name: name.value.trim() });
      close();
      go(`/contacts/${encodeURIComponent(made.id)}`);
    } catch (error) {
      say(error.message);
    } finally {
      send.disabled = false;
    }
  }
}
