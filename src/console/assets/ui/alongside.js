// The customer's page beside whatever page is open: what an agent who has just answered wants to see,
// without losing what was being done. It takes neither focus nor place in the history.

import { on } from '../bus.js';
import { h, icon } from './dom.js';
import { Scope } from './scope.js';

let current = null;

/** Watches for answered calls; `root` is the shell. Answers a function that ends it. */
export function startAlongside(root) {
  const closers = [
    on('answered', (call) => show(root, call.contact.id)),
    on('page', () => { if (current && location.pathname === current.path) close(); }),
  ];
  return () => {
    closers.forEach((end) => end());
    close();
  };
}

function show(root, contactId) {
  close();
  const path = `/contacts/${encodeURIComponent(contactId)}`;
  if (location.pathname === path) return;
  const scope = new Scope();
  const body = h('div', { class: 'alongside-body', tabindex: -1 });
  const element = h('aside', { class: 'alongside', testid: 'alongside', ariaLabel: 'The customer on the line', onkeydown: (event) => { if (event.key === 'Escape' && !event.defaultPrevented) close(); } },
    h('div', { class: 'alongside-head' },
      h('a', { class: 'btn btn-s', href: path }, 'Open as page'),
      h('button', { type: 'button', class: 'btn btn-icon btn-s', testid: 'alongside-close', ariaLabel: 'Close the customer’s page', onclick: close }, icon('close', 'icon-s'))),
    body);
  current = { path, element, scope };
  root.querySelector('.floor').append(element);
  import('../views/contact.js').then(({ contactView }) => {
    if (!scope.gone) contactView(body, scope, { id: contactId, alongside: true });
  }, () => close()); // the gateway is away: the page can be opened when it is back
}

function close() {
  if (current === null) return;
  const { element, scope } = current;
  current = null;
  if (element.contains(document.activeElement)) document.getElementById('view')?.focus({ preventScroll: true });
  scope.close();
  element.remove();
}
