// A switch on a page, with its label and what it does.

import { h } from './dom.js';

/** `{ element, get value(), set(value) }`; `onChange(value)` when somebody flips it. */
export function toggle({ id, label, hint, value = false, onChange = () => {} }) {
  const button = h('button', {
    type: 'button', class: 'switch switch-page', role: 'switch', id, testid: id, ariaChecked: String(value),
    ariaLabelledBy: `${id}-label`, ariaDescribedBy: `${id}-hint`,
    onclick: () => {
      set(!read());
      onChange(read());
    },
  });
  const read = () => button.getAttribute('aria-checked') === 'true';
  const set = (wish) => button.setAttribute('aria-checked', String(wish));
  const element = h('div', { class: 'setting' },
    h('div', null, h('strong', { id: `${id}-label` }, label), h('p', { class: 'dim small', id: `${id}-hint` }, hint)), button);
  return { element, set, get value() { return read(); } };
}
