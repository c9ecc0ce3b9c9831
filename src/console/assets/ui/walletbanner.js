// An empty wallet stops outbound calls, and a low one soon will: those who may see the wallet are told on every page.
// Everybody else learns it where a call would be placed.

import { api } from '../api.js';
import { state } from '../state.js';
import { fill, h, icon } from './dom.js';
import { money } from './format.js';
import { Scope } from './scope.js';

/** Several bookings may come at once: ask once. */
const GATHER_MS = 300;

/** `{ element, close }`. */
export function walletBanner() {
  const element = h('div', { class: 'banner', role: 'status', testid: 'wallet-banner', hidden: true });
  if (!state.session.grants?.wallet) return { element, close: () => {} };
  const scope = new Scope();
  /** Who knows need not be told on every page, until it was filled and is low again. */
  let hushed = false;
  const hush = () => {
    hushed = true;
    element.hidden = true;
    element.dataset.said = '';
  };
  async function look() {
    if (state.numbers.length === 0) return; // there is nothing yet to call from
    try {
      const { available_micros: available, balance_micros: balance, low, currency } = await api.get('/v1/wallet');
      if (scope.gone) return;
      if (!low) hushed = false;
      const empty = available <= 0;
      element.hidden = !empty && (!low || hushed);
      const said = element.hidden ? '' : empty ? 'The wallet is empty: no outbound calls are possible.' : `The wallet is low: ${money(balance, currency)} left.`;
      if (element.dataset.said === said) return;
      element.dataset.said = said;
      fill(element, said && [icon('wallet'), said, h('a', { href: '/wallet' }, 'To the wallet'), !empty && h('button', { type: 'button', class: 'link', testid: 'wallet-hush', onclick: hush }, 'Not now')]);
    } catch { /* the next booking asks again */ }
  }
  const soon = scope.gathered(GATHER_MS, look);
  scope.on('wallet', soon);
  scope.on('resync', soon);
  scope.on('numbers', soon);
  return { element, close: () => scope.close() };
}
