// More: on a phone, the pages that have no place at its foot, and what stands beside them on a desk.

import { setTitle } from '../router.js';
import { state } from '../state.js';
import { fill, h, icon } from '../ui/dom.js';
import { pages } from '../ui/pages.js';

export function moreView(root) {
  setTitle('More');
  const { configure_calls: configures, manage } = state.session.grants ?? {};
  const links = [...pages().rest, (configures || manage) && ['/settings', 'gear', 'Settings'], ['/account', 'contacts', 'My account']].filter(Boolean);
  fill(root, h('div', { class: 'page page-narrow' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'More')),
    h('ul', { class: 'card doors' }, links.map(([href, name, title]) => h('li', null,
      h('a', { href }, h('span', { class: 'dir' }, icon(name)), h('strong', null, title), icon('next', 'icon-s')))))));
}
