// Outbound Call Permissions: who was asked, who agreed, and until when.

import { api, query } from '../api.js';
import { agentName, state } from '../state.js';
import { bdi, fill, h } from './dom.js';
import { permissionTone, when, words } from './format.js';
import { avatar, empty, failed, skeleton, whoCell } from './parts.js';
import { toastError } from './toast.js';

/** The guide's columns, in its order. */
const COLUMNS = ['Customer name', 'Status', 'Permission Requested/Expiry Date', 'Agent Name'];
const PAGE = 50;
const GATHER_MS = 300;

export function showPermissions(root, scope, wanted) {
  if (state.numbers.length === 0) return fill(root, empty('contacts', 'No business number yet', 'Permissions belong to a number. Connect one first.'));
  let number = state.numbers.find(({ id }) => id === wanted)?.id ?? state.numbers[0].id;
  let cursor = null;
  const rows = h('tbody');
  const table = h('div', { class: 'table-wrap', tabindex: 0, role: 'region', ariaLabel: 'Outbound Call Permissions' },
    h('table', { class: 'stack', testid: 'permissions-table' }, h('thead', null, h('tr', null, COLUMNS.map((name) => h('th', { scope: 'col' }, name)))), rows));
  const list = h('div', null, skeleton(6));
  const more = h('div', { class: 'more', hidden: true });
  const choose = h('select', { id: 'permission-number', class: 'select', onchange: (event) => {
    number = event.target.value;
    history.replaceState(history.state, '', query('/calls', { section: 'permissions', number_id: number }));
    void load();
  } }, state.numbers.map(({ id, display_phone_number: shown }) => h('option', { value: id, selected: id === number }, shown)));
  fill(root, state.numbers.length > 1 && h('div', { class: 'filter-bar' }, h('div', { class: 'field' }, h('label', { for: 'permission-number' }, 'Business number'), choose)), list, more);

  async function load(from = null) {
    try {
      const page = await api.get(query('/v1/permissions', { number_id: number, limit: PAGE, cursor: from }), scope.signal);
      if (scope.gone) return;
      if (from === null) fill(rows);
      rows.append(...page.items.map(row));
      cursor = page.next_cursor;
      more.hidden = cursor === null;
      fill(more, h('button', { type: 'button', class: 'btn btn-s', onclick: () => load(cursor) }, 'Show more'));
      fill(list, rows.children.length > 0 ? table : empty('check', 'Nobody was asked yet', 'Ask a customer for permission on the contact’s page; the answer appears here.'));
    } catch (error) {
      if (scope.gone) return;
      if (from === null) fill(list, failed(error, () => load()));
      else toastError('More were not loaded', error);
    }
  }

  let asked = null;
  const askSoon = () => {
    clearTimeout(asked);
    asked = setTimeout(() => load(), GATHER_MS);
  };
  scope.add(() => clearTimeout(asked));
  for (const topic of ['permission', 'resync']) scope.on(topic, askSoon);
  void load();
}

function row({ contact, status, requested_at: requested, request_expires_at: answerable, expires_at: expires, decided_at: decided, requested_by: by }) {
  const href = `/contacts/${encodeURIComponent(contact.id)}`;
  const dates = [
    requested && ['Requested', requested],
    status === 'requested' && answerable && ['Can be answered until', answerable],
    expires && [Date.parse(expires) > Date.now() ? 'Expires' : 'Expired', expires],
    !expires && decided && status !== 'requested' && [status === 'permanent' ? 'Given for good' : words.permission(status), decided],
  ].filter(Boolean);
  return h('tr', { testid: 'permission-row', data: { href, status } },
    h('td', null, whoCell(contact, href, avatar(contact))),
    h('td', null, h('span', { class: 'chip', data: { tone: permissionTone(status) } }, words.permission(status))),
    h('td', { class: 'wide' }, h('div', { class: 'dates' }, dates.map(([label, at]) => h('span', null, h('span', { class: 'dim' }, `${label} `), h('time', { class: 'nowrap', datetime: at }, when(at)))), dates.length === 0 && '–')),
    h('td', { class: 'wide', data: { label: 'Agent' } }, bdi(agentName(by?.agent_id) ?? by?.name ?? agentName(contact.assignee_id) ?? '–')));
}
