// What was booked: page by page, narrowed, and taken home. What narrows it stands in the address.

import { api, query } from '../../api.js';
import { dayStart } from '../../ui/days.js';
import { agentName } from '../../state.js';
import { bdi, fill, h, icon } from '../../ui/dom.js';
import { countryName, duration, money, when, words } from '../../ui/format.js';
import { empty, failed, skeleton } from '../../ui/parts.js';
import { save } from '../../ui/save.js';
import { toastError } from '../../ui/toast.js';

const PAGE = 50;
const KINDS = ['top_up', 'call_charge', 'adjustment'];
const NAMES = ['kind', 'reference', 'since', 'until'];
/** Typing is let come to rest. */
const TYPED_MS = 300;

/** Fills `body`; answers what fetches the newest anew. */
export function ledger(body, scope, search) {
  const rows = h('tbody');
  const table = h('div', { class: 'table-wrap' }, h('table', { class: 'stack', testid: 'ledger', ariaLabel: 'Ledger' },
    h('thead', null, h('tr', null, ['Date/Time', 'Kind', 'For', 'Amount'].map((name) => h('th', { scope: 'col', class: name === 'Amount' ? 'right' : null }, name)))), rows));
  const more = h('button', { type: 'button', class: 'btn btn-s', testid: 'ledger-older', onclick: older }, 'Show older entries');
  const moreBox = h('div', { class: 'more', hidden: true }, more);
  const list = h('div', null, skeleton(6));
  const known = new Set();
  let cursor;
  /** Raised when something else is asked for: what was asked before is not shown. */
  let asking = 0;
  let narrowed = Object.fromEntries(NAMES.map((name) => [name, search.get(name) ?? '']));

  const asked = () => ({ kind: narrowed.kind, reference: narrowed.reference.trim(), from: dayStart(narrowed.since), to: dayStart(narrowed.until, 1) });
  const begin = () => {
    known.clear();
    fill(rows);
    cursor = undefined;
  };
  const change = (name, value) => {
    narrowed = { ...narrowed, [name]: value };
    history.replaceState(history.state, '', query('/wallet', { tab: 'ledger', ...narrowed }));
    begin();
    void newest();
  };

  async function newest() {
    asking += 1;
    const mine = asking;
    try {
      const page = await api.get(query('/v1/wallet/entries', { ...asked(), limit: PAGE }), scope.signal);
      if (mine !== asking) return;
      const fresh = page.items.filter(({ id }) => !known.has(id));
      // So much happened meanwhile that the old rows do not join on: begin anew.
      if (known.size > 0 && fresh.length === page.items.length && page.next_cursor) begin();
      rows.prepend(...fresh.map(entryRow));
      for (const { id } of fresh) known.add(id);
      if (cursor === undefined) cursor = page.next_cursor;
      const any = Object.values(narrowed).some(Boolean);
      if (known.size > 0) fill(list, table, moreBox);
      else if (any) fill(list, empty('search', 'No entries fit', 'Take a filter away, or look at a longer time.'));
      else fill(list, empty('wallet', 'Nothing booked yet', 'Top-ups and the charges of outbound calls appear here.'));
      moreBox.hidden = cursor === null;
    } catch (error) {
      if (!scope.gone && mine === asking) fill(list, failed(error, newest));
    }
  }

  async function older() {
    more.disabled = true;
    const mine = asking;
    try {
      const page = await api.get(query('/v1/wallet/entries', { ...asked(), limit: PAGE, cursor }), scope.signal);
      if (mine !== asking) return;
      for (const entry of page.items) {
        if (!known.has(entry.id)) rows.append(entryRow(entry));
        known.add(entry.id);
      }
      cursor = page.next_cursor;
      moreBox.hidden = cursor === null;
    } catch (error) {
      if (!scope.gone) toastError('Older entries were not loaded', error);
    } finally {
      more.disabled = false;
    }
  }

  async function take(event) {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      save(await api.blob(query('/v1/wallet/entries.csv', asked()), scope.signal), 'wallet.csv');
    } catch (error) {
      if (!scope.gone) toastError('The ledger was not exported', error);
    } finally {
      button.disabled = false;
    }
  }

  fill(body, filters(scope, narrowed, change, take), list);
  return newest;
}

function filters(scope, narrowed, change, take) {
  const field = (name, label, control) => {
    control.id = `ledger-${name}`;
    control.dataset.testid = control.id;
    control.value = narrowed[name];
    return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
  };
  const chosen = (name) => (event) => change(name, event.target.value);
  let typed = null;
  scope.add(() => clearTimeout(typed));
  const type = (event) => {
    clearTimeout(typed);
    typed = setTimeout(change, TYPED_MS, 'reference', event.target.value);
  };
  return h('search', { class: 'filter-bar ledger-filters' }, h('div', { class: 'filters' },
    field('kind', 'Kind', h('select', { class: 'select', onchange: chosen('kind') }, h('option', { value: '' }, 'Every kind'), KINDS.map((kind) => h('option', { value: kind }, words.entry(kind))))),
    field('reference', 'Reference', h('input', { class: 'input', type: 'search', maxlength: 200, autocomplete: 'off', oninput: type })),
    field('since', 'From', h('input', { class: 'input', type: 'date', onchange: chosen('since') })),
    field('until', 'To', h('input', { class: 'input', type: 'date', onchange: chosen('until') }))),
  h('button', { type: 'button', class: 'btn', testid: 'ledger-csv', onclick: take }, icon('download'), 'Export (CSV)'));
}

function entryRow(entry) {
  const plus = entry.micros > 0;
  return h('tr', { testid: 'entry', data: { entryId: entry.id, kind: entry.kind } },
    h('td', { class: 'num nowrap' }, h('time', { datetime: entry.created_at }, when(entry.created_at))),
    h('td', null, h('span', { class: 'chip', data: { tone: entry.kind === 'top_up' ? 'go' : '' } }, words.entry(entry.kind))),
    h('td', { class: 'wide' }, entryFor(entry)),
    h('td', { class: 'num right aside' }, h('strong', { class: plus ? 'plus' : null }, `${plus ? '+' : ''}${money(entry.micros, entry.currency)}`)));
}

function entryFor(entry) {
  const by = entry.by && (agentName(entry.by.agent_id) ?? entry.by.name ?? entry.by.agent_id);
  if (!entry.call_id) return h('div', null, entry.reference ? bdi(entry.reference) : h('span', { class: 'dim' }, 'No reference'), by && h('span', { class: 'dim small' }, ' by ', bdi(by)));
  const { explanation } = entry;
  const price = explanation && `${explanation.country ? countryName(explanation.country) : explanation.market}, ${duration(explanation.talked_ms)} at ${money(explanation.micros_per_minute, explanation.currency)} a minute`;
  return h('div', null, h('a', { href: `/calls/${encodeURIComponent(entry.call_id)}` }, 'Call'), price && h('span', { class: 'dim small' }, ` ${price}`));
}
