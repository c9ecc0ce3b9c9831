// Contacts, with search.

import { api, query } from '../api.js';
import { setTitle } from '../router.js';
import { agentName } from '../state.js';
import { addContact } from '../ui/addcontact.js';
import { bdi, fill, h, icon } from '../ui/dom.js';
import { contactName, contactNumber } from '../ui/format.js';
import { avatar, empty, failed, skeleton } from '../ui/parts.js';
import { toastError } from '../ui/toast.js';

const PAGE = 50;
const TYPING_MS = 200;

export function contactsView(root, scope, _parameters, search) {
  setTitle('Contacts');
  let text = search.get('text') ?? '';
  let cursor = null;
  let asking = null;
  const known = new Map();
  const rows = h('tbody');
  const table = h('div', { class: 'table-wrap' }, h('table', { class: 'stack', ariaLabel: 'Contacts' },
    h('thead', null, h('tr', null, ['Name', 'Number', 'Assignee', 'Owner'].map((name) => h('th', { scope: 'col' }, name)))), rows));
  const body = h('div', null, skeleton(8));
  const more = h('button', { type: 'button', class: 'btn btn-s', onclick: () => load(false) }, 'Show more');
  const moreBox = h('div', { class: 'more', hidden: true }, more);
  const input = h('input', { class: 'input', type: 'search', value: text, placeholder: 'Name or number', ariaLabel: 'Search contacts', testid: 'contact-search', autocomplete: 'off', oninput: typed });

  let timer = null;
  function typed() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      text = input.value.trim();
      history.replaceState(null, '', query('/contacts', { text }));
      void load(true);
    }, TYPING_MS);
  }
  scope.add(() => clearTimeout(timer));

  async function load(anew) {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    more.disabled = true;
    try {
      const page = await api.get(query('/v1/contacts', { text, limit: PAGE, cursor: anew ? null : cursor }), signal);
      if (anew) {
        known.clear();
        fill(rows);
      }
      for (const contact of page.items) {
        const element = row(contact);
        known.set(contact.id, element);
        rows.append(element);
      }
      cursor = page.next_cursor;
      moreBox.hidden = cursor === null;
      if (known.size > 0) fill(body, table);
      else fill(body, text ? empty('search', 'Nobody found', 'No contact has this in its name or number.') : empty('contacts', 'No contacts yet', 'Everyone who calls becomes a contact by itself.'));
    } catch (error) {
      if (scope.gone || error.name === 'AbortError') return;
      if (anew) fill(body, failed(error, () => load(true)));
      else toastError('More contacts were not loaded', error);
    } finally {
      if (!signal.aborted) more.disabled = false;
    }
  }
  scope.add(() => asking?.abort());
  scope.on('contact', (contact) => {
    const old = known.get(contact.id);
    if (!old) return;
    const fresh = row(contact);
    old.replaceWith(fresh);
    known.set(contact.id, fresh);
  });

  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Contacts'), addContact()),
    h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('div', { class: 'search contact-search' }, icon('search'), input)), body, moreBox)));
  void load(true);
}

function row(contact) {
  const href = `/contacts/${encodeURIComponent(contact.id)}`;
  return h('tr', { testid: 'contact-row', data: { contactId: contact.id, href } },
    h('td', null, h('div', { class: 'who' }, avatar(contact), h('div', null, h('a', { href, title: contactName(contact) }, bdi(contactName(contact)))))),
    h('td', { class: 'num nowrap dim' }, bdi(contactNumber(contact))),
    h('td', { data: { label: 'Assignee' } }, agentName(contact.assignee_id) ?? h('span', { class: 'dim' }, 'Nobody')),
    h('td', { data: { label: 'Owner' } }, agentName(contact.owner_id) ?? h('span', { class: 'dim' }, 'Nobody')));
}
