// Asking a customer for permission to call: in one's own words while WhatsApp lets one write, by an
// approved template at any time. What is permitted, and for how long, is the customer's choice.

import { api } from '../api.js';
import { blockerList } from './calldialog.js';
import { bdi, fill, h } from './dom.js';
import { openDialog } from './dialog.js';
import { contactName, whenExactly } from './format.js';
import { notice } from './parts.js';
import { templatePicker } from './templatepicker.js';
import { toast } from './toast.js';

/** WhatsApp's own bound. */
const BODY_CHARS_MAX = 1_024;

export function openAskDialog(contact, callability, numberId) {
  const { free_form_allowed: freeForm, window_closes_at: closesAt } = callability.request;
  let kind = freeForm ? 'free_form' : 'template';
  const body = h('textarea', { id: 'ask-body', class: 'input note-area', testid: 'ask-body', rows: 3, maxlength: BODY_CHARS_MAX, placeholder: 'May we call you about your order?' });
  const template = templatePicker(numberId, contactName(contact));
  const trouble = h('div', { role: 'status' });
  const send = h('button', { type: 'submit', form: 'ask-form', class: 'btn btn-primary', testid: 'ask-send' }, 'Send request');
  const ownWords = h('div', { class: 'field' }, h('label', { for: 'ask-body' }, 'Your message (may stay empty)'), body,
    closesAt && h('p', { class: 'dim small' }, `Possible until ${whenExactly(closesAt)}: 24 hours after the customer’s last message or call.`));
  const choose = (wish) => {
    kind = wish;
    ownWords.hidden = kind !== 'free_form';
    template.element.hidden = kind !== 'template';
  };

  const close = openDialog({
    title: 'Ask for permission to call',
    testid: 'ask-dialog',
    build: (dialog) => {
      choose(kind);
      const form = h('form', { id: 'ask-form', class: 'stack-gap', onsubmit: submit },
        h('p', null, bdi(contactName(contact)), ' gets a message in WhatsApp and decides alone: for seven days, for good, or not at all.'),
        freeForm
          ? h('div', { class: 'seg', role: 'radiogroup', ariaLabel: 'Kind of request' }, choice('free_form', 'Own words'), choice('template', 'Template'))
          : notice('info', 'note', 'The customer has neither written nor called in the last 24 hours, so WhatsApp takes a template only.'),
        ownWords, template.element,
        h('p', { class: 'dim small' }, 'At most one request in 24 hours and two in 7 days; a connected call starts the count anew.'),
        trouble);

      async function submit(event) {
        event.preventDefault();
        const wished = wish();
        if (typeof wished.template === 'string') {
          fill(trouble, notice('warn', 'warn', wished.template));
          return;
        }
        send.disabled = true;
        fill(trouble);
        try {
          await api.post('/v1/permission-requests', { number_id: numberId, contact: contact.id, ...wished });
          if (wished.template) template.keep(wished.template);
          dialog.close();
          toast({ title: contactName(contact), text: 'The request is on its way. The page shows the answer when it comes.', tone: 'go' });
        } catch (error) {
          fill(trouble, notice('warn', 'warn', h('p', null, h('strong', null, error.message)), error.blockers?.length > 0 && blockerList(error.blockers)));
          send.disabled = false;
        }
      }
      return { body: form, foot: [h('button', { type: 'button', class: 'btn', onclick: dialog.close }, 'Close'), send] };
    },
  });
  return close;

  function wish() {
    if (kind === 'template') return { kind, template: template.wish() };
    return body.value.trim() ? { kind, body: body.value.trim() } : { kind };
  }

  function choice(value, label) {
    return h('label', { class: 'seg-choice' }, h('input', { type: 'radio', name: 'ask-kind', value, checked: value === kind, onchange: () => choose(value) }), h('span', null, label));
  }
}
