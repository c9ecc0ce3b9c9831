// A dry run: who would get a call, in which order, and why. Nobody rings and nothing is stored.

import { api, query } from '../api.js';
import { setTitle } from '../router.js';
import { agentName, state } from '../state.js';
import { bdi, fill, h, icon } from '../ui/dom.js';
import { contactName, when, words } from '../ui/format.js';
import { empty, failed, notice, skeleton } from '../ui/parts.js';
import { crumbs, mayConfigure } from './settings.js';

const TYPING_MS = 200;
const FOUND_MAX = 8;

export function routingView(root, scope) {
  if (!mayConfigure(root)) return;
  setTitle('Routing');
  const number = h('select', { class: 'select num', id: 'route-number' }, state.numbers.map(({ id, display_phone_number: shown }) => h('option', { value: id }, shown)));
  const found = h('datalist', { id: 'route-found' });
  const customer = h('input', { class: 'input', id: 'route-customer', testid: 'route-customer', list: 'route-found', required: true, autocomplete: 'off', placeholder: '+995 555 010203', oninput: typed });
  const at = h('input', { class: 'input', id: 'route-at', testid: 'route-at', type: 'datetime-local' });
  const answer = h('section', { class: 'card', ariaLive: 'polite', testid: 'route-answer' }, empty('route', 'Who would ring?', 'Name a customer. Who is online and free is taken as it is now; hours are those of the moment you choose.'));

  let timer = null;
  function typed() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        const page = await api.get(query('/v1/contacts', { text: customer.value.trim(), limit: FOUND_MAX }), scope.signal);
        fill(found, page.items.filter(({ phone }) => phone).map((contact) => h('option', { value: contact.phone }, contactName(contact))));
      } catch { /* without suggestions a number can be written all the same */ }
    }, TYPING_MS);
  }
  scope.add(() => clearTimeout(timer));

  /** The customer as the API names one: by a number, known or not, or by a name that one customer has. */
  async function whom() {
    const written = customer.value.trim();
    const digits = written.replace(/[\s()+-]/g, '');
    if (/^\d{6,15}$/.test(digits)) return `wa:${digits}`;
    if (!written) return null;
    const { items } = await api.get(query('/v1/contacts', { text: written, limit: 2 }), scope.signal);
    return items.length === 1 ? items[0].id : null;
  }

  async function ask(event) {
    event.preventDefault();
    fill(answer, skeleton(4));
    try {
      const contact = await whom();
      if (scope.gone) return;
      if (!contact) {
        fill(answer, h('div', { class: 'card-pad' }, notice('stop', 'warn', 'No single customer is called so. Choose one from the list while you type, or write a number with its country code, such as +995 555 010203.')));
        customer.focus();
        return;
      }
      const told = await api.post('/v1/routing/simulate', { number_id: number.value, contact, ...(at.value && { at: new Date(at.value).toISOString() }) });
      if (!scope.gone) fill(answer, ...drawAnswer(told));
    } catch (error) {
      if (!scope.gone) fill(answer, failed(error));
    }
  }

  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings']), h('h1', { tabindex: -1 }, 'Routing'))),
    h('section', { class: 'card' }, h('form', { class: 'card-pad form-row', onsubmit: ask, novalidate: true },
      h('div', { class: 'field' }, h('label', { for: 'route-customer' }, 'Customer'), customer, found),
      h('div', { class: 'field' }, h('label', { for: 'route-number' }, 'Calls'), number),
      h('div', { class: 'field' }, h('label', { for: 'route-at' }, 'At (empty: now)'), at),
      h('button', { type: 'submit', class: 'btn btn-primary', testid: 'route-ask' }, 'Who would ring?'))),
    answer));
}

function drawAnswer({ at, refused, opens_at: opens, candidates, trace }) {
  const first = candidates[0];
  const line = refused
    ? notice('warn', 'warn', h('strong', null, `Turned away: ${words.endReason(refused)}.`), opens && ` Open again ${when(opens)}.`, first && ' If it were not, these would ring:')
    : first ? null : notice('warn', 'warn', h('strong', null, 'Nobody would ring.'), ' No agent is online and free; the call would be missed.');
  return [
    h('div', { class: 'card-head' }, h('h2', null, `At ${when(at)}`)),
    h('div', { class: 'card-pad stack-gap' }, line,
      candidates.length > 0 && h('ol', { class: 'steps', testid: 'route-candidates' }, candidates.map(({ agent_id: id, reason }, i) => h('li', { data: { agentId: id, ...(i === 0 && !refused && { chosen: '' }) } }, h('strong', null, bdi(agentName(id))), h('span', { class: 'dim small' }, reason)))),
      trace.length > 0 && h('details', null, h('summary', null, 'Every step'), h('ul', { class: 'blockers trace' }, trace.map((step) => h('li', { data: { ...(step.verdict === 'chosen' && { good: '' }) } }, icon(step.verdict === 'chosen' ? 'check' : 'note', 'icon-s'),
        h('span', null, h('strong', null, words.plain(step.step)), step.agent_id && [': ', bdi(agentName(step.agent_id))], step.reason && h('span', { class: 'dim' }, ` ${step.reason}`))))))),
  ];
}

