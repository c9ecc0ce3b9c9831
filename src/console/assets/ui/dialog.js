// A dialog that makes the page behind it inert, but not the incoming-call popup: a call may come
// while somebody reads a dialog. (The <dialog> element would make the popup inert too.)

import { fill, h, icon } from './dom.js';

let current = null;

/** `build({ close })` answers `{ body, foot }`; answers the function that closes it. */
export function openDialog({ title, testid, build, onClose = () => {} }) {
  current?.();
  const layer = document.getElementById('dialogs');
  const app = document.getElementById('app');
  const before = document.activeElement;
  const close = () => {
    if (current !== close) return;
    current = null;
    document.removeEventListener('keydown', onKey);
    fill(layer);
    app.inert = false;
    if (before?.isConnected) before.focus({ preventScroll: true });
    onClose();
  };
  const { body, foot } = build({ close });
  const element = h('div', { class: 'dialog', role: 'dialog', ariaModal: 'true', ariaLabelledBy: 'dialog-title', testid, tabindex: -1 },
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
  app.inert = true;
  fill(layer, element);
  element.focus();
  current = close;
  return close;
}

export function closeDialog() {
  current?.();
}
