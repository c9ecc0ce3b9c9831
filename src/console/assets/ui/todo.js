// What a new house still lacks, for those who can mend it. Gone once all is done.

import { api } from '../api.js';
import { state } from '../state.js';
import { fill, h, icon } from './dom.js';

export function todoCard(scope) {
  const list = h('ul', { class: 'rows' });
  const element = h('section', { class: 'card home-todo', testid: 'todo', ariaLabelledBy: 'todo-title', hidden: true },
    h('div', { class: 'card-head' }, h('h2', { id: 'todo-title' }, 'To do')), list);
  const grants = state.session.grants ?? {};
  if (!grants.manage) return element;
  /** Unknown until it was asked, and then no reason to worry anybody. */
  let moneyless = false;

  function draw() {
    const steps = [
      [state.numbers.length === 0, '/settings/channels/number', 'Connect a number', 'Customers call it in WhatsApp.'],
      [state.agents.size < 2, '/settings/people/new', 'Invite somebody', 'Whoever works here takes calls in a console like this.'],
      [moneyless, '/wallet', 'Put money into the wallet', 'Only for calls that you place; who calls you costs nothing.'],
    ].filter(([open]) => open);
    element.hidden = steps.length === 0;
    fill(list, steps.map(([, href, title, text]) => h('li', null,
      h('div', null, h('a', { href }, title), h('p', { class: 'dim small' }, text)), icon('next', 'icon-s'))));
  }
  async function look() {
    try {
      moneyless = (await api.get('/v1/wallet', scope.signal)).available_micros <= 0;
      draw();
    } catch { /* the next booking asks again */ }
  }
  draw();
  for (const topic of ['agent', 'people', 'colleague', 'numbers']) scope.on(topic, draw);
  if (grants.wallet) {
    for (const topic of ['wallet', 'resync']) scope.on(topic, look);
    void look();
  }
  return element;
}
