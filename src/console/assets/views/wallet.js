// The wallet: what is in it, what was booked, paying in, the price list, and WhatsApp's own count.

import { api, query } from '../api.js';
import { microsOf } from '../money.js';
import { setTitle } from '../router.js';
import { state } from '../state.js';
import { bdi, fill, h, icon, setText } from '../ui/dom.js';
import { countryName, duration, money, when, words } from '../ui/format.js';
import { empty, failed, notice, skeleton } from '../ui/parts.js';
import { openDialog } from '../ui/dialog.js';
import { toast, toastError } from '../ui/toast.js';

const PAGE = 50;
const GATHER_MS = 250;
const TABS = { ledger: ['Ledger', ledger], rates: ['Rate card', rates], reconciliation: ['Reconciliation', reconciliation] };

export function walletView(root, scope, _parameters, search) {
  if (!state.session.grants?.wallet) {
    setTitle('Not for your role');
    fill(root, h('div', { class: 'page' }, h('h1', { tabindex: -1 }, 'Not for your role'), h('div', { class: 'card' }, empty('lock', 'Your role does not see the wallet', 'The owner does.'))));
    return;
  }
  setTitle('Wallet');
  const tab = Object.hasOwn(TABS, search.get('tab')) ? search.get('tab') : 'ledger';
  const balance = h('strong', { class: 'num', testid: 'balance' }, '…');
  const parts = h('p', { class: 'dim small' });
  const trouble = h('div', { ariaLive: 'polite' });
  const body = h('div', null, skeleton(6));
  const topUp = h('button', { type: 'button', class: 'btn btn-primary', testid: 'top-up', disabled: true, onclick: () => topUpDialog(wallet.currency, refresh) }, icon('plus', 'icon-s'), 'Top up');
  const [, draw] = TABS[tab];
  let wallet = null;
  let refreshBody = () => {};

  async function refresh() {
    try {
      wallet = await api.get('/v1/wallet', scope.signal);
    } catch (error) {
      if (!scope.gone) fill(trouble, failed(error, refresh));
      return;
    }
    topUp.disabled = false;
    const sum = (micros) => money(micros, wallet.currency);
    setText(balance, sum(wallet.balance_micros));
    setText(parts, `${sum(wallet.available_micros)} for new calls${wallet.reserved_micros > 0 ? `, ${sum(wallet.reserved_micros)} held back for running ones` : ''}`);
    fill(trouble,
      wallet.available_micros <= 0 && h('div', { testid: 'wallet-empty' }, notice('warn', 'warn', h('strong', null, 'No outbound calls are possible.'), ' Top up to call customers again. Incoming calls are free and go on.')),
      wallet.uncharged_calls > 0 && notice('warn', 'warn', `${wallet.uncharged_calls} ended calls are not booked yet; they are tried again every minute. The gateway’s log says why.`));
    refreshBody();
  }

  let asked = null;
  scope.on('wallet', () => { asked ??= setTimeout(() => { asked = null; if (!scope.gone) void refresh(); }, GATHER_MS); });
  scope.on('resync', () => void refresh());
  scope.add(() => clearTimeout(asked));

  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Wallet')),
    h('section', { class: 'card balance-card' }, h('div', null, h('span', { class: 'label' }, 'Balance'), balance, parts), topUp),
    trouble,
    h('section', { class: 'card' }, h('nav', { class: 'tabs', ariaLabel: 'Parts of the wallet' }, Object.entries(TABS).map(([name, [label]]) => h('a', { href: `/wallet?tab=${name}`, ariaCurrent: name === tab ? 'true' : null }, label))), body)));
  refreshBody = draw(body, scope) ?? refreshBody;
  void refresh();
}

function topUpDialog(currency, onDone) {
  const wrong = h('p', { class: 'field-error', id: 'top-up-wrong', role: 'alert' });
  const amount = h('input', { class: 'input num', id: 'top-up-amount', testid: 'top-up-amount', inputmode: 'decimal', autocomplete: 'off', placeholder: '50.00', ariaDescribedBy: 'top-up-wrong' });
  const reference = h('input', { class: 'input', id: 'top-up-reference', testid: 'top-up-reference', maxlength: 200, placeholder: 'Invoice 2026-117' });
  const save = h('button', { type: 'submit', form: 'top-up-form', class: 'btn btn-primary', testid: 'top-up-save' }, 'Pay in');
  openDialog({
    title: 'Top up',
    testid: 'top-up-dialog',
    build: ({ close }) => {
      async function pay(event) {
        event.preventDefault();
        const micros = microsOf(amount.value);
        if (!micros) {
          setText(wrong, 'Write an amount above 0, such as 50 or 12.50, with a point before the cents.');
          amount.setAttribute('aria-invalid', 'true');
          amount.focus();
          return;
        }
        save.disabled = true;
        try {
          await api.post('/v1/wallet/top-ups', { micros, currency, ...(reference.value.trim() && { reference: reference.value.trim() }) });
          close();
          toast({ title: `${money(micros, currency)} paid in`, text: reference.value.trim(), tone: 'go' });
          onDone();
        } catch (error) {
          setText(wrong, error.message);
          save.disabled = false;
        }
      }
      return {
        body: h('form', { id: 'top-up-form', class: 'stack-gap', onsubmit: pay, novalidate: true },
          h('p', { class: 'dim small' }, 'Books money that you have paid to your provider. Outbound calls are charged from it; nothing leaves your bank.'),
          h('div', { class: 'field' }, h('label', { for: 'top-up-amount' }, `Amount in ${currency}`), amount, wrong),
          h('div', { class: 'field' }, h('label', { for: 'top-up-reference' }, 'Reference'), reference)),
        foot: [h('button', { type: 'button', class: 'btn', onclick: close }, 'Cancel'), save],
      };
    },
  });
  amount.focus();
}

/** Pages of the ledger; answers what fetches the newest anew. */
function ledger(body, scope) {
  const rows = h('tbody');
  const table = h('div', { class: 'table-wrap' }, h('table', { class: 'stack', testid: 'ledger', ariaLabel: 'Ledger' },
    h('thead', null, h('tr', null, ['Date/Time', 'Kind', 'For', 'Amount'].map((name) => h('th', { scope: 'col', class: name === 'Amount' ? 'right' : null }, name)))), rows));
  const more = h('button', { type: 'button', class: 'btn btn-s', onclick: older }, 'Show older entries');
  const moreBox = h('div', { class: 'more', hidden: true }, more);
  const known = new Set();
  let cursor;

  async function newest() {
    try {
      const page = await api.get(query('/v1/wallet/entries', { limit: PAGE }), scope.signal);
      const fresh = page.items.filter(({ id }) => !known.has(id));
      // So much happened meanwhile that the old rows do not join on: begin anew.
      if (known.size > 0 && fresh.length === page.items.length && page.next_cursor) {
        known.clear();
        fill(rows);
        cursor = undefined;
      }
      rows.prepend(...fresh.map(entryRow));
      for (const { id } of fresh) known.add(id);
      if (cursor === undefined) cursor = page.next_cursor;
      if (known.size > 0) fill(body, table, moreBox);
      else fill(body, empty('wallet', 'Nothing booked yet', 'Top-ups and the charges of outbound calls appear here.'));
      moreBox.hidden = cursor === null;
    } catch (error) {
      if (!scope.gone) fill(body, failed(error, newest));
    }
  }

  async function older() {
    more.disabled = true;
    try {
      const page = await api.get(query('/v1/wallet/entries', { limit: PAGE, cursor }), scope.signal);
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
  return newest;
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
  if (!entry.call_id) return entry.reference ? bdi(entry.reference) : h('span', { class: 'dim' }, 'No reference');
  const { explanation } = entry;
  const price = explanation && `${explanation.country ? countryName(explanation.country) : explanation.market}, ${duration(explanation.talked_ms)} at ${money(explanation.micros_per_minute, explanation.currency)} a minute`;
  return h('div', null, h('a', { href: `/calls/${encodeURIComponent(entry.call_id)}` }, 'Call'), price && h('span', { class: 'dim small' }, ` ${price}`));
}

function rates(body, scope) {
  const search = h('input', { class: 'input', type: 'search', placeholder: 'Country or number', ariaLabel: 'Search the rate card', testid: 'rate-search', oninput: () => show() });
  const list = h('div');
  let card = null;

  function show() {
    const wanted = search.value.trim().toLowerCase();
    const fits = (row) => wanted === '' || rowNames(row).some((name) => name.toLowerCase().includes(wanted)) || (/^\+?\d+$/.test(wanted) && /^\d+$/.test(row.market) && wanted.replace('+', '').startsWith(row.market));
    const rest = card.rows.filter(({ market }) => market === '*');
    let rows = card.rows.filter(fits);
    const fallback = rows.length === 0 && rest.length > 0;
    if (fallback) rows = rest;
    fill(list,
      fallback && h('p', { class: 'card-pad dim' }, 'Not on the card by name: the price for everybody else holds.'),
      rateTable(rows, 'In force'),
      card.upcoming.filter(fits).length > 0 && [h('h3', { class: 'card-head' }, 'Later'), rateTable(card.upcoming.filter(fits), 'Later')]);
  }

  function rateTable(rows, label) {
    return h('div', { class: 'table-wrap' }, h('table', { class: 'stack', testid: 'rates', ariaLabel: label },
      h('thead', null, h('tr', null, ['Customers in', 'From minute of the month', 'Since', 'Per minute'].map((name, i) => h('th', { scope: 'col', class: i === 3 ? 'right' : null }, name)))),
      h('tbody', null, rows.map((row, i) => h('tr', null,
        h('td', { class: 'wide' }, h('div', null, h('strong', null, marketName(row.market)), row.countries && row.market !== rows[i - 1]?.market && h('span', { class: 'dim small countries' }, row.countries.map(countryName).join(', ')))),
        h('td', { class: 'num', data: { label: 'From minute' } }, row.tier_from_minutes.toLocaleString()),
        h('td', { class: 'num nowrap', data: { label: 'Since' } }, new Date(row.effective_from).toLocaleDateString(undefined, { dateStyle: 'medium', timeZone: card.time_zone })),
        h('td', { class: 'num right aside' }, h('strong', null, money(row.micros_per_minute, card.currency))))))));
  }

  async function load() {
    if (card) return;
    try {
      card = await api.get('/v1/rate-card', scope.signal);
      const last = ({ market }) => Number(market === '*');
      card.rows.sort((a, b) => last(a) - last(b));
    } catch (error) {
      if (!scope.gone) fill(body, failed(error, load));
      return;
    }
    fill(body, h('div', { class: 'card-head' }, h('div', { class: 'search contact-search' }, icon('search'), search), h('span', { class: 'dim small' }, `${card.source}; months count in ${card.time_zone}`)), list,
      h('p', { class: 'card-pad dim small' }, 'Outbound calls only, counted in begun six seconds. The most exact line counts: the start of a number, then a country, then a group, then everybody else. To replace the card: PUT /v1/rate-card.'));
    show();
  }
  return load;
}

function rowNames({ market, countries = [] }) {
  return [marketName(market), market, ...countries, ...countries.map(countryName)];
}

function marketName(market) {
  if (market === '*') return 'Everybody else';
  if (/^\d+$/.test(market)) return `+${market}…`;
  return /^[A-Z]{2}$/.test(market) ? countryName(market) : market;
}

function reconciliation(body, scope) {
  async function load() {
    try {
      const { items, accounts } = await api.get(query('/v1/wallet/reconciliations', { limit: PAGE }), scope.signal);
      const failing = accounts.filter(({ error }) => error);
      const notes = failing.map(({ waba_id: account, error }) => h('div', { class: 'card-pad' }, notice('warn', 'warn', `Account ${account}: ${error}`)));
      if (items.length === 0) fill(body, notes, empty('wallet', 'No day compared yet', accounts.length > 0 ? 'Each night the calls of the day that is over are compared with WhatsApp’s own count.' : 'Once WhatsApp has told whose the numbers are, each day is compared with its own count.'));
      else fill(body, notes, dayTable(items));
    } catch (error) {
      if (!scope.gone) fill(body, failed(error, load));
    }
  }
  return load;
}

function dayTable(days) {
  const cell = ({ ours, theirs, differences }, currency) => h('td', { class: 'wide' }, differences.length === 0
    ? h('span', null, `${ours.calls} calls, ${money(ours.cost_micros, currency)}`)
    : h('div', { class: 'drift-cell' }, h('span', null, `Here: ${ours.calls} calls, ${duration(ours.duration_ms)}, ${money(ours.cost_micros, currency)}`), h('span', null, `WhatsApp: ${theirs.calls} calls, ${duration(theirs.duration_ms)}, ${money(theirs.cost_micros, currency)}`)));
  return h('div', { class: 'table-wrap' }, h('table', { class: 'stack', testid: 'reconciliations', ariaLabel: 'Days compared with WhatsApp’s count' },
    h('thead', null, h('tr', null, ['Day (UTC)', 'Result', 'Outbound', 'Incoming'].map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', null, days.map((day) => h('tr', null, h('td', { class: 'num nowrap' }, day.day),
      h('td', null, h('span', { class: 'chip', data: { tone: day.agrees ? 'go' : 'warn' } }, day.agrees ? 'Agrees' : 'Differs')), cell(day.outbound, day.currency), cell(day.inbound, day.currency))))));
}
