// Outbound Call Permissions: who was asked, who agreed, and until when.

import { api, query } from '../api.js';
import { agentName, state } from '../state.js';
import { bdi, fill, h } from './dom.js';
import { PERMISSIONS_TABLE, exporter } from './exporter.js';
import { PERMISSIONS, filterBar, readFilters } from './filters.js';
import { permissionTone, when, words } from './format.js';
import { avatar, empty, failed, skeleton, whoCell } from './parts.js';
import { toastError } from './toast.js';

/** The guide's columns, in its order. */
const COLUMNS = ['Customer name', 'Status', 'Permission Requested/Expiry Date', 'Agent Name'];
const PAGE = 50;
const GATHER_MS = 300;

export function showPermissions(root, scope, search, onFilters) {
  if (state.numbers.length === 0) return fill(root, empty('contacts', 'No business number yet', 'Permissions belong to a number. Connect one first.'));
  const [first, ...others] = state.numbers.map(({ id }) => id);
  const read = readFilters(search, PERMISSIONS);
  // The first number is shown unasked, and so that a link may name what is gone since.
  let filters = others.includes(read.number_id) ? read : { ...read, number_id: undefined };
  let cursor = null;
  /** Raised when other filters hold: pages of the former ones belong nowhere. */
  let asking = 0;
  const rows = h('tbody');
  const table = h('div', { class: 'table-wrap', tabindex: 0, role: 'region', ariaLabel: 'Outbound Call Permissions' },
    h('table', { class: 'stack', testid: 'permissions-table' }, h('thead', null, h('tr', null, COLUMNS.map((name) => h('th', { scope: 'col' }, name)))), rows));
  const list = h('div', null, skeleton(6));
  const more = h('div', { class: 'more', hidden: true });
  const parameters = () => ({ ...filters, number_id: filters.number_id ?? first });
  const exports_ = exporter(scope, PERMISSIONS_TABLE, parameters);
  const bar = filterBar(scope, PERMISSIONS, filters, [exports_.element], (changed) => {
    filters = changed;
    history.replaceState(history.state, '', query('/calls', { section: 'permissions', ...filters }));
    onFilters(filters);
    fill(list, skeleton(4));
    more.hidden = true;
    void load();
  });
  fill(root, bar, exports_.said, list, more);

  async function load(from = null) {
    asking += 1;
    const mine = asking;
    try {
      const found = [];
      let next = from;
      // A page of a narrowed list may be short, or empty, though more follow.
      do {
        const page = await api.get(query('/v1/permissions', { ...parameters(), limit: PAGE, cursor: next }), scope.signal);
        if (scope.gone || mine !== asking) return;
        found.push(...page.items);
        next = page.next_cursor;
      } while (next !== null && found.length < PAGE);
      if (from === null) fill(rows);
      rows.append(...found.map(row));
      cursor = next;
      more.hidden = cursor === null;
      fill(more, h('button', { type: 'button', class: 'btn btn-s', onclick: () => load(cursor) }, 'Show more'));
      const narrowed = filters.text || filters.status || filters.agent_id;
      if (rows.children.length > 0) fill(list, table);
      else if (narrowed) fill(list, empty('search', 'No permissions fit', 'Take a filter away, or look at another number.'));
      else fill(list, empty('check', 'Nobody was asked yet', 'Ask a customer for permission on the contact’s page; the answer appears here.'));
    } catch (error) {
      if (scope.gone || mine !== asking) return;
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
