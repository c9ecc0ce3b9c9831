// The wallet: what is in it, what was booked, paying in, the price list, and WhatsApp's own count.

import { api } from '../api.js';
import { setTitle } from '../router.js';
import { state } from '../state.js';
import { fill, h, icon, setText } from '../ui/dom.js';
import { money } from '../ui/format.js';
import { empty, failed, notice, skeleton } from '../ui/parts.js';
import { adjustDialog } from './wallet/adjust.js';
import { ledger } from './wallet/ledger.js';
import { lowDialog } from './wallet/low.js';
import { rates } from './wallet/rates.js';
import { reconciliation } from './wallet/reconciliation.js';
import { topUpDialog } from './wallet/topup.js';

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
  const warns = h('p', { class: 'dim small', testid: 'low-words' });
  const trouble = h('div', { ariaLive: 'polite' });
  const body = h('div', null, skeleton(6));
  const topUp = h('button', { type: 'button', class: 'btn btn-primary', testid: 'top-up', disabled: true, onclick: () => topUpDialog(() => wallet, refresh) }, icon('plus', 'icon-s'), 'Top up');
  const correct = h('button', { type: 'button', class: 'btn', testid: 'adjust', disabled: true, onclick: () => adjustDialog(() => wallet, refresh) }, 'Correct the balance');
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
    correct.disabled = false;
    fill(warns, wallet.low_micros === null ? 'Nobody is told when it gets low. ' : `You are told at ${money(wallet.low_micros, wallet.currency)}. `,
      h('button', { type: 'button', class: 'link', testid: 'low-change', onclick: () => lowDialog(wallet, refresh) }, wallet.low_micros === null ? 'Tell me when it is low' : 'Change'));
    const sum = (micros) => money(micros, wallet.currency);
    setText(balance, sum(wallet.balance_micros));
    setText(parts, `${sum(wallet.available_micros)} for new calls${wallet.reserved_micros > 0 ? `, ${sum(wallet.reserved_micros)} held back for running ones` : ''}`);
    fill(trouble,
      wallet.available_micros <= 0 && h('div', { testid: 'wallet-empty' }, notice('warn', 'warn', h('strong', null, 'No outbound calls are possible.'), ' Top up to call customers again. Incoming calls are free and go on.')),
      wallet.available_micros > 0 && wallet.low && h('div', { testid: 'wallet-low' }, notice('warn', 'warn', h('strong', null, 'The wallet is low.'), ' Top up soon: with nothing in it no customer can be called.')),
      wallet.uncharged_calls > 0 && notice('warn', 'warn', `${wallet.uncharged_calls} ended calls are not booked yet; they are tried again every minute. The gateway’s log says why.`));
    refreshBody();
  }

  let asked = null;
  scope.on('wallet', () => { asked ??= setTimeout(() => { asked = null; if (!scope.gone) void refresh(); }, GATHER_MS); });
  scope.on('resync', () => void refresh());
  scope.add(() => clearTimeout(asked));

  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Wallet')),
    h('section', { class: 'card balance-card' }, h('div', null, h('span', { class: 'label' }, 'Balance'), balance, parts, warns), h('div', { class: 'row' }, correct, topUp)),
    trouble,
    h('section', { class: 'card' }, h('nav', { class: 'tabs', ariaLabel: 'Parts of the wallet' }, Object.entries(TABS).map(([name, [label]]) => h('a', { href: `/wallet?tab=${name}`, ariaCurrent: name === tab ? 'true' : null }, label))), body)));
  refreshBody = draw(body, scope, search) ?? refreshBody;
  void refresh();
}
