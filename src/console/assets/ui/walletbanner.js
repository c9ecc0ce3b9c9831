// An empty wallet stops outbound calls: those who may see the wallet are told on every page. Everybody else learns it where
// a call would be placed.

import { api } from '../api.js';
import { on } from '../bus.js';
import { state } from '../state.js';
import { fill, h, icon } from './dom.js';

/** Several bookings may come at once: ask once. */
const GATHER_MS = 300;

/** `{ element, close }`. */
export function walletBanner() {
  const element = h('div', { class: 'banner', role: 'status', testid: 'wallet-banner', hidden: true });
  if (!state.session.grants?.wallet) return { element, close: () => {} };
  let timer = null;
  let closed = false;
  async function look() {
    timer = null;
    try {
      const { available_micros: available } = await api.get('/v1/wallet');
      if (closed) return;
      element.hidden = available > 0;
      if (element.hidden) fill(element);
      else if (!element.firstChild) fill(element, icon('wallet'), 'The wallet is empty: no outbound calls are possible.', h('a', { href: '/wallet' }, 'To the wallet'));
    } catch { /* the next booking asks again */ }
  }
  const soon = () => { timer ??= setTimeout(look, GATHER_MS); };
  const offs = [on('wallet', soon), on('resync', soon)];
  return {
    element,
    close() {
      closed = true;
      clearTimeout(timer);
      offs.forEach((off) => off());
    },
  };
}
