// Call Management: the guide's sections, live, narrowed by what the address says.

import { api, query } from '../api.js';
import { setTitle } from '../router.js';
import { fill, h } from '../ui/dom.js';
import { CallTable, MISSED, SIX } from '../ui/calltable.js';
import { callsTable, exporter } from '../ui/exporter.js';
import { savedViews } from '../ui/savedviews.js';
import { CALLS, asQuery, callsOf, filterBar, readFilters } from '../ui/filters.js';
import { empty, failed, skeleton } from '../ui/parts.js';
import { showPermissions } from '../ui/permissionlist.js';
import { toastError } from '../ui/toast.js';

const PAGE = 50;
/** More rows than anybody reads: beyond them filters find faster. */
const ROWS_MAX = 500;
const SECTIONS = {
  all: { label: 'All Calls', columns: SIX, none: 'Calls appear here as soon as somebody calls, or you call somebody.' },
  received: { label: 'Received Calls', columns: SIX, none: 'Incoming calls that were answered appear here.' },
  outbound: { label: 'Outbound Calls', columns: SIX, none: 'Calls you place from a contact’s page appear here.' },
  missed: { label: 'Missed Calls', columns: MISSED, offered: true, none: 'Calls that nobody answered appear here, with everyone they were offered to.' },
  permissions: { label: 'Outbound Call Permissions' },
};
/** Several events of one call arrive together: ask the list once. */
const GATHER_MS = 300;

export function callsView(root, scope, _parameters, search) {
  const section = Object.hasOwn(SECTIONS, search.get('section')) ? search.get('section') : 'all';
  const { label } = SECTIONS[section];
  setTitle(label);
  const tabs = h('nav', { class: 'tabs', ariaLabel: 'Sections' });
  const body = h('div');
  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Call Management')),
    h('section', { class: 'card', ariaLabel: label }, tabs, body)));
  // A filter goes along to the next section.
  const drawTabs = (filters) => fill(tabs, Object.entries(SECTIONS).map(([name, { label: text }]) => h('a', { href: query('/calls', { section: name, ...filters }), testid: `section-${name}`, ariaCurrent: name === section ? 'true' : null }, text)));
  drawTabs(readFilters(search, CALLS));
  tabs.querySelector('[aria-current]').scrollIntoView({ block: 'nearest', inline: 'nearest' });
  // Its statuses are others than those of calls.
  if (section === 'permissions') showPermissions(body, scope, search, (filters) => drawTabs({ ...filters, status: undefined }));
  else showCalls(body, scope, section, readFilters(search, CALLS), drawTabs);
}

function showCalls(root, scope, section, first, onFilters) {
  const { label, columns, offered, none } = SECTIONS[section];
  const table = new CallTable(columns, { offered, label });
  const list = h('div', null, skeleton(8));
  const more = h('div', { class: 'more', hidden: true });
  let filters = first;
  let cursor = null;
  let asking = 0;
  /** Raised when other filters hold: pages of the former ones belong nowhere. */
  let narrowing = 0;

  const parameters = () => ({ section, ...asQuery(filters) });
  const exports_ = exporter(scope, callsTable(label.toLowerCase().replaceAll(' ', '-')), parameters);
  const views = savedViews(scope, () => ({ section, filters }));
  const bar = filterBar(scope, callsOf(section), filters, [views, exports_.element], (changed) => {
    filters = changed;
    history.replaceState(null, '', query('/calls', { section, ...filters }));
    onFilters(filters);
    cursor = null;
    table.clear();
    fill(list, skeleton(4));
    more.hidden = true;
    void newest(true);
  });
  fill(root, bar, exports_.said, list, more);

  function show() {
    if (table.size > 0) {
      if (list.firstChild !== table.element) fill(list, table.element);
    } else if (Object.keys(filters).length > 0) {
      fill(list, empty('search', 'No calls fit', 'Take a filter away, or look in another section.'));
    } else {
      fill(list, empty('calls', 'No calls here yet', none));
    }
    const full = table.size >= ROWS_MAX;
    more.hidden = cursor === null;
    fill(more, full
      ? h('p', { class: 'dim small' }, `These are the newest ${ROWS_MAX}. Narrow the list to see older calls.`)
      : h('button', { type: 'button', class: 'btn btn-s', testid: 'older', onclick: older }, 'Show older calls'));
  }

  async function newest(anew) {
    asking += 1;
    if (anew) narrowing += 1;
    const mine = asking;
    try {
      const page = await api.get(query('/v1/calls', { ...parameters(), limit: PAGE }), scope.signal);
      if (scope.gone || mine !== asking) return; // the filters have changed meanwhile
      if (anew) cursor = page.next_cursor;
      table.keepFirst(page.items, page.next_cursor === null);
      table.keepNewest(ROWS_MAX);
      show();
    } catch (error) {
      if (!scope.gone && mine === asking && anew) fill(list, failed(error, () => newest(true)));
    }
  }

  async function older(event) {
    const button = event.currentTarget;
    button.disabled = true;
    await nextPage();
    button.disabled = false;
  }

  async function nextPage() {
    const mine = narrowing;
    try {
      const page = await api.get(query('/v1/calls', { ...parameters(), limit: PAGE, cursor }), scope.signal);
      if (scope.gone || mine !== narrowing) return;
      table.putLast(page.items);
      cursor = page.next_cursor;
      history.replaceState({ ...history.state, rows: table.size }, '');
      show();
    } catch (error) {
      if (!scope.gone) toastError('Older calls were not loaded', error);
    }
  }

  /** Back on this page, as many rows as it had. */
  async function asBefore(rows) {
    await newest(true);
    while (!scope.gone && cursor !== null && table.size < rows) {
      const before = table.size;
      await nextPage();
      if (table.size === before) return;
    }
  }

  const askSoon = scope.gathered(GATHER_MS, () => newest(false));
  scope.on('call', (call) => {
    table.update(call);
    askSoon(); // whether it belongs here, or still does, is the gateway's to say
  });
  for (const topic of ['resync', 'summary']) scope.on(topic, askSoon);
  scope.every(1_000, () => table.tick());
  void asBefore(history.state?.rows ?? 0);
}
