// How many callers wait to be rung back, on every page; who they are, and what can be done, is on the first.

import { api, query } from '../api.js';
import { state } from '../state.js';
import { h, setText } from './dom.js';
import { Scope } from './scope.js';

/** Several events of one call arrive together. */
const GATHER_MS = 600;

/** `{ element, close }`. */
export function missedBadge() {
  const number = h('span', { ariaHidden: 'true' });
  const words = h('span', { class: 'visually-hidden' });
  const element = h('span', { class: 'badge', testid: 'missed-badge', hidden: true }, number, words);
  const scope = new Scope();

  async function look() {
    if (!state.agent) return;
    try {
      const day = await api.get(query(`/v1/agents/${encodeURIComponent(state.agent.id)}/day`, {}));
      if (scope.gone) return;
      const count = day.to_return.length;
      element.hidden = count === 0;
      setText(number, count === 0 ? '' : count > 9 ? '9+' : String(count));
      setText(words, count === 0 ? '' : `, ${count} missed ${count === 1 ? 'caller' : 'callers'} to ring back`);
    } catch { /* the next call asks again */ }
  }

  const soon = scope.gathered(GATHER_MS, look);
  scope.on('resync', soon);
  scope.on('contact', soon);
  scope.on('call', ({ state: at }) => { if (at === 'ended' || at === 'active') soon(); });
  return { element, close: () => scope.close() };
}
