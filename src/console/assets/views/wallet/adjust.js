// Correcting what was booked wrongly.

import { api, randomKey } from '../../api.js';
import { microsOf } from '../../money.js';
import { confirm } from '../../ui/confirm.js';
import { h, setText } from '../../ui/dom.js';
import { money } from '../../ui/format.js';
import { openDialog } from '../../ui/dialog.js';
import { toast } from '../../ui/toast.js';

/** `wallet()`: as it is at that moment. */
export function adjustDialog(wallet, onDone) {
  const { currency } = wallet();
  const wrong = h('p', { class: 'field-error', id: 'adjust-wrong', testid: 'adjust-wrong', role: 'alert' });
  const sign = h('select', { class: 'select', id: 'adjust-sign', testid: 'adjust-sign' }, h('option', { value: '-1' }, 'Take out of the wallet'), h('option', { value: '1' }, 'Put into the wallet'));
  const amount = h('input', { class: 'input num', id: 'adjust-amount', testid: 'adjust-amount', inputmode: 'decimal', autocomplete: 'off', placeholder: '12.50', ariaDescribedBy: 'adjust-wrong' });
  const reason = h('input', { class: 'input', id: 'adjust-reason', testid: 'adjust-reason', maxlength: 200, autocomplete: 'off', placeholder: 'A zero too many in invoice 2026-117', ariaDescribedBy: 'adjust-wrong' });
  openDialog({
    title: 'Correct the balance',
    testid: 'adjust-dialog',
    build: ({ close }) => {
      const blame = (field, text) => {
        setText(wrong, text);
        for (const one of [amount, reason]) one.setAttribute('aria-invalid', String(one === field));
        field?.focus();
      };
      function next(event) {
        event.preventDefault();
        const sum = microsOf(amount.value);
        const why = reason.value.trim();
        if (!sum) return blame(amount, 'Write an amount above 0, such as 50 or 12.50, with a point before the cents and no comma.');
        if (!why) return blame(reason, 'Say why: it stands in the ledger.');
        const micros = sum * Number(sign.value);
        const key = randomKey();
        return confirm({
          title: 'Correct the balance?',
          text: [`${money(sum, currency)} ${micros < 0 ? 'will be taken out of' : 'will be put into'} the wallet: ${why}`, willBe(wallet(), micros)],
          yes: 'Correct it',
          act: async () => {
            await api.post('/v1/wallet/adjustments', { micros, currency, reason: why }, key);
            toast({ title: 'The balance is corrected', text: why, tone: 'go' });
            onDone();
          },
        });
      }
      return {
        body: h('form', { id: 'adjust-form', class: 'stack-gap', onsubmit: next, oninput: () => blame(null, ''), novalidate: true },
          h('p', { class: 'dim small' }, 'For what was booked wrongly. What stands in the ledger stays; the correction stands beside it, with its reason and your name.'),
          h('div', { class: 'field' }, h('label', { for: 'adjust-sign' }, 'What to do'), sign),
          h('div', { class: 'field' }, h('label', { for: 'adjust-amount' }, `Amount in ${currency}`), amount),
          h('div', { class: 'field' }, h('label', { for: 'adjust-reason' }, 'Reason'), reason), wrong),
        foot: [h('button', { type: 'button', class: 'btn', onclick: close }, 'Cancel'), h('button', { type: 'submit', form: 'adjust-form', class: 'btn btn-primary', testid: 'adjust-next' }, 'Continue')],
      };
    },
  });
  amount.focus();
}

/** What a confirmation says. */
export function willBe({ balance_micros: balance, currency }, micros) {
  return `The balance is ${money(balance, currency)} and will be ${money(balance + micros, currency)}.`;
}
