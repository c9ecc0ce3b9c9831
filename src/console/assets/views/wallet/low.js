// From which balance down the wallet is low.

import { api } from '../../api.js';
import { microsOf } from '../../money.js';
import { h, setText } from '../../ui/dom.js';
import { openDialog } from '../../ui/dialog.js';

const MICROS = 1_000_000;

export function lowDialog({ currency, low_micros: low }, onDone) {
  const wrong = h('p', { class: 'field-error', id: 'low-wrong', role: 'alert' });
  const amount = h('input', { class: 'input num', id: 'low-amount', testid: 'low-amount', inputmode: 'decimal', autocomplete: 'off', placeholder: '10.00', value: low === null ? '' : String(low / MICROS), ariaDescribedBy: 'low-wrong' });
  openDialog({
    title: 'When is it low?',
    testid: 'low-dialog',
    build: ({ close }) => {
      async function keep(micros) {
        try {
          await api.put('/v1/wallet', { low_micros: micros });
          close();
          onDone();
        } catch (error) {
          setText(wrong, error.message);
        }
      }
      const submit = (event) => {
        event.preventDefault();
        const micros = microsOf(amount.value);
        if (micros !== null) return keep(micros);
        setText(wrong, 'Write an amount such as 10 or 12.50, with a point before the cents.');
        amount.setAttribute('aria-invalid', 'true');
        amount.focus();
        return undefined;
      };
      return {
        body: h('form', { id: 'low-form', class: 'stack-gap', onsubmit: submit, novalidate: true },
          h('p', { class: 'dim small' }, 'At this balance everybody who sees the wallet is told on every page, and programs by the event wallet.low.'),
          h('div', { class: 'field' }, h('label', { for: 'low-amount' }, `Balance in ${currency}`), amount, wrong)),
        foot: [low !== null && h('button', { type: 'button', class: 'btn', testid: 'low-none', onclick: () => keep(null) }, 'Tell nobody'),
          h('button', { type: 'submit', form: 'low-form', class: 'btn btn-primary', testid: 'low-save' }, 'Save')],
      };
    },
  });
  amount.focus();
}
