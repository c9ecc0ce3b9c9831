// Paying in.

import { api, randomKey } from '../../api.js';
import { microsOf } from '../../money.js';
import { confirm } from '../../ui/confirm.js';
import { h, setText } from '../../ui/dom.js';
import { money } from '../../ui/format.js';
import { openDialog } from '../../ui/dialog.js';
import { toast } from '../../ui/toast.js';
import { willBe } from './adjust.js';

/** A sum beyond it is asked about once more: a zero too many is typed easily. */
const MUCH_MICROS = 1_000 * 1_000_000;

/** `wallet()`: as it is at that moment. */
export function topUpDialog(wallet, onDone) {
  const { currency } = wallet();
  /** Of what the form says now: whether an answer was lost or not, that is paid in once. */
  let key = randomKey();
  const wrong = h('p', { class: 'field-error', id: 'top-up-wrong', role: 'alert' });
  const amount = h('input', { class: 'input num', id: 'top-up-amount', testid: 'top-up-amount', inputmode: 'decimal', autocomplete: 'off', placeholder: '50.00', ariaDescribedBy: 'top-up-wrong' });
  const reference = h('input', { class: 'input', id: 'top-up-reference', testid: 'top-up-reference', maxlength: 200, placeholder: 'Invoice 2026-117' });
  const save = h('button', { type: 'submit', form: 'top-up-form', class: 'btn btn-primary', testid: 'top-up-save' }, 'Pay in');
  openDialog({
    title: 'Top up',
    testid: 'top-up-dialog',
    build: ({ close }) => {
      async function pay(event) {
        event.preventDefault();
        const micros = microsOf(amount.value);
        if (!micros) {
          const long = /^\d{10,}(\.\d*)?$/.test(amount.value.trim());
          setText(wrong, long ? `That is more than one top-up takes: ${money(999_999_999_000_000, currency)} at most. Look whether a point is missing, or pay in parts.` : 'Write an amount above 0, such as 50 or 12.50, with a point before the cents and no comma.');
          amount.setAttribute('aria-invalid', 'true');
          amount.focus();
          return;
        }
        const text = reference.value.trim();
        const book = async () => {
          await api.post('/v1/wallet/top-ups', { micros, currency, ...(text && { reference: text }) }, key);
          toast({ title: `${money(micros, currency)} paid in`, text, tone: 'go' });
          onDone();
        };
        if (micros > MUCH_MICROS) {
          confirm({ title: 'Pay in so much?', text: [`${money(micros, currency)} will be paid in.`, willBe(wallet(), micros)], yes: 'Pay in', act: book });
          return;
        }
        save.disabled = true;
        try {
          await book();
          close();
        } catch (error) {
          setText(wrong, error.message);
          save.disabled = false;
        }
      }
      return {
        body: h('form', { id: 'top-up-form', class: 'stack-gap', onsubmit: pay, oninput: () => { key = randomKey(); }, novalidate: true },
          h('p', { class: 'dim small' }, 'Books money that you have paid to your provider. Outbound calls are charged from it; nothing leaves your bank.'),
          h('div', { class: 'field' }, h('label', { for: 'top-up-amount' }, `Amount in ${currency}`), amount, wrong),
          h('div', { class: 'field' }, h('label', { for: 'top-up-reference' }, 'Reference'), reference)),
        foot: [h('button', { type: 'button', class: 'btn', onclick: close }, 'Cancel'), save],
      };
    },
  });
  amount.focus();
}
