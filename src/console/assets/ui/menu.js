// A button that opens a menu beneath it: closed by Escape, by a press elsewhere, and when the view leaves.

import { h, icon } from './dom.js';

/** `{ element, menu, button, show(wish) }`; `onOpen()` is called before the menu is seen. */
export function menuButton(scope, { testid, name, label, about, onOpen = () => {} }) {
  const menu = h('div', { class: 'menu', id: `${testid}-menu`, testid: `${testid}-menu`, hidden: true, role: 'group', ariaLabel: about });
  const button = h('button', { type: 'button', class: 'btn', testid, ariaExpanded: false, ariaControls: menu.id, onclick: () => show(menu.hidden) }, icon(name), label);
  const element = h('div', { class: 'menu-anchor' }, button, menu);

  function show(wish) {
    if (wish === !menu.hidden) return;
    if (wish) onOpen();
    menu.hidden = !wish;
    button.setAttribute('aria-expanded', String(wish));
    if (wish) menu.querySelector('button, a, input')?.focus();
  }

  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || menu.hidden) return;
    show(false);
    button.focus();
  });
  const outside = (event) => { if (!element.contains(event.target)) show(false); };
  document.addEventListener('pointerdown', outside);
  scope.add(() => document.removeEventListener('pointerdown', outside));
  return { element, menu, button, show };
}
