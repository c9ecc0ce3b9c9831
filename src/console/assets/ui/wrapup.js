// After a conversation: what it was, and a note, where the call bar stood a moment ago. Never in
// the way of the next call, and nothing is lost by leaving it: call and customer can be annotated later.

import { api } from '../api.js';
import { on } from '../bus.js';
import { serverNow } from '../clock.js';
import { noteCall, state } from '../state.js';
import { bdi, h, setText } from './dom.js';
import { draft, forgetDraft, keepDraft } from './draft.js';
import { contactName, duration } from './format.js';
import { noteField } from './notes.js';
import { toast, toastError } from './toast.js';

/** `onDone()`: saved or left. Answers `{ callId, element, close, closeSaving }`; the latter when the next call comes first. */
export function wrapUp(call, onDone) {
  // Kept from the start: also with nothing written yet, the form is there again after a reload.
  keepDraft(call.id, {});
  const begun = draft() ?? {};
  const word = h('select', { id: 'wrap-word', class: 'select', testid: 'wrap-disposition' }, h('option', { value: '' }, 'Choose…'));
  const wordField = h('div', { class: 'field', hidden: true }, h('label', { for: 'wrap-word' }, 'What was it?'), word);
  const note = noteField('Note', 'wrap-note');
  note.set(begun.note ?? '');
  const save = h('button', { type: 'submit', class: 'btn btn-primary', testid: 'wrap-save' }, 'Done');
  const lasted = h('span', { class: 'num' });
  const left = h('span', { class: 'wrapup-left num', testid: 'wrap-left', hidden: true });
  const element = h('form', { class: 'wrapup', testid: 'wrapup', ariaLabel: 'After the call', data: { callId: call.id }, onsubmit: submit, oninput: () => keepDraft(call.id, { note: note.value(), ...(word.options.length > 1 && { word: word.value }) }) },
    h('div', { class: 'wrapup-who' }, h('strong', null, bdi(contactName(call.contact))), lasted, left),
    wordField,
    note.element,
    h('div', { class: 'wrapup-keys' }, save));

  // WhatsApp has the last word on how long it was.
  const told = ({ id, duration_ms: ms }) => { if (id === call.id) setText(lasted, `Call ended · ${duration(ms)}`); };
  told(call);

  async function bringWords() {
    if (word.options.length > 1) return;
    try {
      const { items } = await api.get('/v1/dispositions');
      word.append(...items.map((name) => h('option', { value: name, selected: name === (begun.word ?? call.disposition) }, name)));
      wordField.hidden = items.length === 0;
    } catch { /* a note can be written all the same; asked again when the gateway is back */ }
  }
  void bringWords();
  const offs = [on('call', told), on('resync', bringWords)];

  // How long no call comes for the sake of this form, the policy says.
  let until = null;
  const me = `/v1/agents/${encodeURIComponent(state.agent.id)}/wrap-up`;
  api.get(me).then(({ until: time }) => {
    until = time && Date.parse(time);
    tick();
  }, () => { /* then calls come as they come */ });
  const timer = setInterval(tick, 500);
  function tick() {
    left.hidden = until === null;
    if (until === null) return;
    const ms = until - serverNow();
    setText(left, ms > 0 ? `Next call in ${duration(ms + 999)}` : 'Calls come again');
  }
  /** Calls may come again at once. */
  async function free() {
    if (until !== null && until > serverNow()) await api.delete(me).catch(() => { /* the time runs out by itself */ });
  }

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
      await free();
      done();
    } catch (error) {
      save.disabled = false;
      toastError('It was not saved', error);
    }
  }

  function done() {
    forgetDraft(call.id);
    onDone();
  }

  const close = () => {
    clearInterval(timer);
    offs.forEach((off) => off());
    element.remove();
  };
  return {
    callId: call.id,
    element,
    close,
    closeSaving() {
      close();
      store().then(() => forgetDraft(call.id), (error) => toastError(`Your note on ${contactName(call.contact)} was not saved: ${note.value()}`, error));
    },
  };
}
