// Short messages at the top right. They stay while they are pointed at or focused.

import { h, icon } from './dom.js';

const STAY_MS = 9_000;
const COUNT_MAX = 4;

/** `{ title, text, tone: 'go' | 'stop' | 'warn' | undefined, href, hrefText }` */
export function toast({ title, text, tone, href, hrefText }) {
  const layer = document.getElementById('toasts');
  const element = h('div', { class: 'toast', testid: 'toast', role: tone === 'stop' ? 'alert' : null, data: { tone: tone ?? '' } },
    h('div', { class: 'toast-text' },
      h('strong', null, h('bdi', null, title)),
      h('span', null, text),
      href && [' ', h('a', { href }, hrefText)]),
    h('button', { type: 'button', ariaLabel: 'Close message', onclick: () => element.remove() }, icon('close', 'icon-s')));
  let timer = null;
  const leave = () => { timer = setTimeout(() => element.remove(), STAY_MS); };
  const stay = () => clearTimeout(timer);
  for (const event of ['pointerenter', 'focusin']) element.addEventListener(event, stay);
  for (const event of ['pointerleave', 'focusout']) element.addEventListener(event, leave);
  layer.append(element);
  while (layer.children.length > COUNT_MAX) layer.firstElementChild.remove();
  leave();
}

/** An error in words. */
export function toastError(title, error) {
  toast({ title, text: error.message, tone: 'stop' });
}
