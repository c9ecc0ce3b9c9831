// A dialog that makes the page behind it inert, but neither the incoming-call popup nor the call bar: a call may come
// while somebody reads a dialog, and has to be muted or ended. (The <dialog> element would make them inert too.)

import { fill, h, icon } from './dom.js';

let current = null;

/** `build({ close })` answers `{ body, foot }`; answers the function that closes it. */
export function openDialog({ title, testid, build, onClose = () => {} }) {
  current?.();
  const layer = document.getElementById('dialogs');
  const behind = [...document.querySelectorAll('.side, .stage, .signin')];
  const before = document.activeElement;
  const close = () => {
    if (current !== close) return;
    current = null;
    document.removeEventListener('keydown', onKey);
    fill(layer);
    for (const part of behind) part.inert = false;
    if (before?.isConnected) before.focus({ preventScroll: true });
    onClose();
  };
  const { body, foot } = build({ close });
  const element = h('div', { class: 'dialog', role: 'dialog', ariaLabelledBy: 'dialog-title', testid, tabindex: -1 },
    h('div', { class: 'dialog-head' }, h('h2', { id: 'dialog-title' }, title),
      h('button', { type: 'button', class: 'btn btn-icon btn-s', ariaLabel: 'Close', onclick: close }, icon('close', 'icon-s'))),
    h('div', { class: 'dialog-body' }, body),
    h('div', { class: 'dialog-foot' }, foot));
  const onKey = (event) => {
    if (event.key === 'Escape' && !event.defaultPrevented) close();
  };
  document.addEventListener('keydown', onKey);
  layer.onpointerdown = (event) => {
    if (event.target === layer) close();
  };
  for (const part of behind) part.inert = true;
  fill(layer, element);
  element.focus();
  current = close;
  return close;
}

export function closeDialog() {
  current?.();
}
