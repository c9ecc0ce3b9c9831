// After a conversation: what it was, and a note, where the call bar stood a moment ago. Never in
// the way of the next call, and nothing is lost by leaving it: call and customer can be annotated later.

import { api } from '../api.js';
import { noteCall } from '../state.js';
import { bdi, h, icon } from './dom.js';
import { contactName, duration } from './format.js';
import { noteField } from './notes.js';
import { toast, toastError } from './toast.js';

/** `onDone()`: saved or left. Answers `{ callId, element, close, closeSaving }`; the latter when the next call comes first. */
export function wrapUp(call, onDone) {
  const word = h('select', { id: 'wrap-word', class: 'select', testid: 'wrap-disposition' }, h('option', { value: '' }, 'Choose…'));
  const wordField = h('div', { class: 'field', hidden: true }, h('label', { for: 'wrap-word' }, 'What was it?'), word);
  const note = noteField('Note', 'wrap-note');
  const save = h('button', { type: 'submit', class: 'btn btn-primary', testid: 'wrap-save' }, 'Save');
  const element = h('form', { class: 'wrapup', testid: 'wrapup', ariaLabel: 'After the call', data: { callId: call.id }, onsubmit: submit },
    h('div', { class: 'wrapup-who' }, h('strong', null, bdi(contactName(call.contact))), h('span', { class: 'num' }, `Call ended · ${duration(call.duration_ms)}`)),
    wordField,
    note.element,
    h('div', { class: 'wrapup-keys' }, save,
      h('button', { type: 'button', class: 'btn btn-icon', testid: 'wrap-close', ariaLabel: 'Close without saving', onclick: onDone }, icon('close', 'icon-s'))));

  api.get('/v1/dispositions').then(({ items }) => {
    if (items.length === 0) return;
    word.append(...items.map((name) => h('option', { value: name, selected: name === call.disposition }, name)));
    wordField.hidden = false;
  }, () => { /* a note can be written all the same */ });

  async function store() {
    const text = note.value();
    if (word.value && word.value !== call.disposition) noteCall(await api.put(`/v1/calls/${call.id}/disposition`, { disposition: word.value }));
    if (text) await api.post(`/v1/calls/${call.id}/notes`, { text });
    return Boolean(text || word.value);
  }

  async function submit(event) {
    event.preventDefault();
    save.disabled = true;
    try {
      if (await store()) toast({ title: contactName(call.contact), text: 'Saved with the call.', tone: 'go' });
      onDone();
    } catch (error) {
      save.disabled = false;
      toastError('It was not saved', error);
    }
  }

  const close = () => element.remove();
  return {
    callId: call.id,
    element,
    close,
    closeSaving() {
      close();
      store().catch((error) => toastError(`Your note on ${contactName(call.contact)} was not saved: ${note.value()}`, error));
    },
  };
}
