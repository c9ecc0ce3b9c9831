// Our books beside WhatsApp's, day by day.

import { api, query } from '../../api.js';
import { fill, h } from '../../ui/dom.js';
import { duration, money } from '../../ui/format.js';
import { empty, failed, notice } from '../../ui/parts.js';
import { toast, toastError } from '../../ui/toast.js';

const PAGE = 50;

export function reconciliation(body, scope) {
  let days = [];

  async function load(cursor = null) {
    try {
      const { items, accounts, next_cursor: next } = await api.get(query('/v1/wallet/reconciliations', { limit: PAGE, cursor }), scope.signal);
      days = cursor ? [...days, ...items] : items;
      const failing = accounts.filter(({ error }) => error);
      const notes = failing.map(({ waba_id: account, error }) => h('div', { class: 'card-pad' }, notice('warn', 'warn', `Account ${account}: ${error}`)));
      if (days.length === 0) fill(body, notes, empty('wallet', 'No day compared yet', accounts.length > 0 ? 'Each night the calls of the day that is over are compared with WhatsApp’s own count.' : 'Once WhatsApp has told whose the numbers are, each day is compared with its own count.'));
      else fill(body, notes, dayTable(days, again), next && h('div', { class: 'more' }, h('button', { type: 'button', class: 'btn btn-s', onclick: () => load(next) }, 'Show earlier days')));
    } catch (error) {
      if (!scope.gone) fill(body, failed(error, () => load()));
    }
  }

  /** WhatsApp's count may be late: with what it says at this moment. */
  async function again(day) {
    try {
      const told = await api.post('/v1/wallet/reconciliations', { waba_id: day.waba_id, day: day.day });
      toast({ title: told.agrees ? `${day.day} agrees` : `${day.day} still differs`, tone: told.agrees ? 'go' : 'warn' });
      await load();
    } catch (error) {
      toastError('The day was not compared', error);
    }
  }
  return load;
}

function dayTable(days, again) {
  const count = (calls) => `${calls} ${calls === 1 ? 'call' : 'calls'}`;
  const cell = (label, { ours, theirs, differences }, currency) => h('td', { class: 'wide', data: { label } }, differences.length === 0
    ? h('span', null, `${count(ours.calls)}, ${money(ours.cost_micros, currency)}`)
    : h('div', { class: 'drift-cell' }, h('span', null, `Here: ${count(ours.calls)}, ${duration(ours.duration_ms)}, ${money(ours.cost_micros, currency)}`), h('span', null, `WhatsApp: ${count(theirs.calls)}, ${duration(theirs.duration_ms)}, ${money(theirs.cost_micros, currency)}`)));
  return h('div', { class: 'table-wrap' }, h('table', { class: 'stack', testid: 'reconciliations', ariaLabel: 'Days compared with WhatsApp’s count' },
    h('thead', null, h('tr', null, ['Day (UTC)', 'Result', 'Outbound', 'Incoming'].map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', null, days.map((day) => h('tr', null, h('td', { class: 'num nowrap' }, day.day),
      h('td', null, h('div', { class: 'row' }, h('span', { class: 'chip', data: { tone: day.agrees ? 'go' : 'warn' } }, day.agrees ? 'Agrees' : 'Differs'), !day.agrees && h('button', { type: 'button', class: 'link small', ariaLabel: `Compare ${day.day} again`, onclick: () => again(day) }, 'Compare again'))), cell('Outbound', day.outbound, day.currency), cell('Incoming', day.inbound, day.currency))))));
}
