// A page that is fetched when somebody first goes there, so that the console itself starts small.

import { h, fill } from './dom.js';
import { failed, skeleton } from './parts.js';

/** `lazy(() => import('./views/x.js'), 'xView')` is a view like any other. */
export function lazy(load, name) {
  return (root, scope, parameters, search) => {
    const heading = h('h1', { tabindex: -1 }, 'Loading…');
    fill(root, h('div', { class: 'page' }, h('div', { class: 'page-head' }, heading), h('div', { class: 'card' }, skeleton())));
    const draw = async () => {
      try {
        const module = await load();
        if (scope.gone) return;
        const heard = document.activeElement === heading;
        module[name](root, scope, parameters, search);
        if (heard) (root.querySelector('h1') ?? root).focus({ preventScroll: true });
      } catch (error) {
        console.error(error);
        if (!scope.gone) fill(root, h('div', { class: 'page' }, h('div', { class: 'card' }, failed(new Error('This page could not be loaded. Is the gateway in reach?'), draw))));
      }
    };
    void draw();
  };
}
