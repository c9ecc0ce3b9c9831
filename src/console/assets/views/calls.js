// The list of calls in the guide's sections, live.

import { api, query } from '../api.js';
import { setTitle } from '../router.js';
import { fill, h } from '../ui/dom.js';
import { CallTable, MISSED, SIX } from '../ui/calltable.js';
import { empty, failed, skeleton } from '../ui/parts.js';
import { toastError } from '../ui/toast.js';

const PAGE = 50;
const SECTIONS = {
  all: { label: 'All Calls', columns: SIX, none: 'Calls appear here as soon as somebody calls, or you call somebody.' },
  received: { label: 'Received Calls', columns: SIX, none: 'Incoming calls that were answered appear here.' },
  outbound: { label: 'Outbound Calls', columns: SIX, none: 'Calls you place from a contact’s page appear here.' },
  missed: { label: 'Missed Calls', columns: MISSED, offered: true, none: 'Calls that nobody answered appear here, with everyone they were offered to.' },
};
/** Several events of one call arrive together: ask the list once. */
const GATHER_MS = 300;

export function callsView(root, scope, _parameters, search) {
  const section = Object.hasOwn(SECTIONS, search.get('section')) ? search.get('section') : 'all';
  const { label, columns, offered, none } = SECTIONS[section];
  setTitle(label);
  const table = new CallTable(columns, { offered, label });
  const body = h('div', null, skeleton(8));
  const moreBox = h('div', { class: 'more', hidden: true });
  const more = h('button', { type: 'button', class: 'btn btn-s', onclick: older }, 'Show older calls');
  moreBox.append(more);
  let cursor = null;

  const path = (at) => query('/v1/calls', { section, limit: PAGE, cursor: at });
  const show = () => {
    const wanted = table.size > 0 ? table.element : null;
    if (wanted === null) fill(body, empty('calls', 'No calls here yet', none));
    else if (body.firstChild !== wanted) fill(body, wanted);
    moreBox.hidden = cursor === null;
  };

  async function newest(firstTime) {
    try {
      const page = await api.get(path(null), scope.signal);
      table.putFirst(page.items);
      if (firstTime) cursor = page.next_cursor;
      show();
    } catch (error) {
      if (!scope.gone && firstTime) fill(body, failed(error, () => newest(true)));
    }
  }

  async function older() {
    more.disabled = true;
    try {
      const page = await api.get(path(cursor), scope.signal);
      table.putLast(page.items);
      cursor = page.next_cursor;
      show();
    } catch (error) {
      if (!scope.gone) toastError('Older calls were not loaded', error);
    } finally {
      more.disabled = false;
    }
  }

  let asked = null;
  const askSoon = () => {
    asked ??= setTimeout(() => {
      asked = null;
      if (!scope.gone) void newest(false);
    }, GATHER_MS);
  };
  scope.add(() => clearTimeout(asked));
  scope.on('call', (call) => {
    if (table.has(call.id)) table.update(call);
    else askSoon(); // whether it belongs here is the gateway's to say
  });
  scope.on('resync', askSoon);
  scope.every(1_000, () => table.tick());

  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Calls')),
    h('section', { class: 'card' },
      h('nav', { class: 'tabs', ariaLabel: 'Sections' }, Object.entries(SECTIONS).map(([name, { label: text }]) => h('a', { href: `/calls?section=${name}`, ariaCurrent: name === section ? 'true' : null }, text.replace(' Calls', ''), h('span', { class: 'long' }, ' Calls')))),
      body, moreBox)));
  void newest(true);
}
