// The price list: searched, taken home, and replaced.

import { api } from '../../api.js';
import { fill, h, icon } from '../../ui/dom.js';
import { LOCALE, countryName, money } from '../../ui/format.js';
import { failed, notice } from '../../ui/parts.js';
import { save } from '../../ui/save.js';
import { toast, toastError } from '../../ui/toast.js';

export function rates(body, scope) {
  const search = h('input', { class: 'input', type: 'search', placeholder: 'Country or number', ariaLabel: 'Search the rate card', testid: 'rate-search', oninput: () => show() });
  const list = h('div');
  const trouble = h('div', { class: 'rates-trouble', ariaLive: 'assertive', testid: 'rates-mistakes' });
  const file = h('input', { type: 'file', accept: '.csv,text/csv', class: 'visually-hidden', testid: 'rates-file', ariaLabel: 'A rate card to put in force (CSV)', tabindex: -1, onchange: replace });
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
        h('td', { class: 'num', data: { label: 'From minute' } }, row.tier_from_minutes.toLocaleString(LOCALE)),
        h('td', { class: 'num nowrap', data: { label: 'Since' } }, new Date(row.effective_from).toLocaleDateString(LOCALE, { dateStyle: 'medium', timeZone: card.time_zone })),
        h('td', { class: 'num right aside' }, h('strong', null, money(row.micros_per_minute, card.currency))))))));
  }

  /** The gateway reads it as a whole, and says every mistake by its line. */
  async function replace() {
    const [chosen] = file.files;
    if (!chosen) return;
    try {
      await api.putCsv('/v1/rate-card', await chosen.text());
      fill(trouble);
      card = null;
      await load();
      toast({ title: 'The card is in force', text: `${chosen.name}. Calls that were charged already stay as they are.`, tone: 'go' });
    } catch (error) {
      fill(trouble, notice('stop', 'warn', h('strong', null, `${chosen.name} was not taken; the card in force stays.`), h('ul', null, (error.errors?.length > 0 ? error.errors.map(byLine) : [error.message]).map((text) => h('li', null, text)))));
    } finally {
      file.value = '';
    }
  }

  async function take() {
    try {
      save(await api.csv('/v1/rate-card', scope.signal), 'rate-card.csv');
    } catch (error) {
      if (!scope.gone) toastError('The card was not saved', error);
    }
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
    fill(body, h('div', { class: 'card-head' }, h('div', { class: 'search contact-search' }, icon('search'), search),
      h('div', { class: 'card-tools' }, file,
        h('button', { type: 'button', class: 'btn btn-s', testid: 'rates-csv', onclick: take }, icon('download', 'icon-s'), 'CSV'),
        h('button', { type: 'button', class: 'btn btn-s', testid: 'rates-replace', onclick: () => file.click() }, 'Replace the card'))),
    trouble,
    h('p', { class: 'card-pad dim small rates-source' }, `In force: ${card.source}. Months count in ${card.time_zone}.`), list,
    h('p', { class: 'card-pad dim small' }, 'Outbound calls only, charged for every six seconds begun. The most exact line counts: the start of a number, then a country, then a group, then everybody else. A card is one file: take the one in force as CSV, change it, and put it here again; later prices stand in it with their date.'));
    show();
  }
  return load;
}

/** "imported.csv:2: market: …" → "Line 2: market: …": the gateway does not know what the file is called here. */
function byLine(text) {
  return text.replace(/^[^:]*:(\d+): /, 'Line $1: ');
}

function rowNames({ market, countries = [] }) {
  return [marketName(market), market, ...countries, ...countries.map(countryName)];
}

function marketName(market) {
  if (market === '*') return 'Everybody else';
  if (/^\d+$/.test(market)) return `+${market}…`;
  return /^[A-Z]{2}$/.test(market) ? countryName(market) : market;
}
