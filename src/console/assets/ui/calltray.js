// What an agent writes down while still talking: a note, tags, what the call was. Opens above the call bar.

import { api } from '../api.js';
import { h } from './dom.js';
import { draft, keepDraft } from './draft.js';
import { marksPane } from './marks.js';
import { noteField } from './notes.js';
import { Scope } from './scope.js';
import { toastError } from './toast.js';

/** `{ element, show(wish, byKey), isOpen(), update(call), close() }`; `onToggle(isOpen, byKey)`. */
export function callTray(call, onToggle) {
  const scope = new Scope();
  const pane = h('div');
  const note = noteField('Note', 'call-note');
  const begun = draft();
  if (begun?.callId === call.id) note.set(begun.note ?? '');
  note.element.addEventListener('input', () => keepDraft(call.id, { note: note.value() }));
  const said = h('span', { class: 'dim small', role: 'status' });
  const save = h('button', { type: 'submit', class: 'btn', testid: 'call-note-save' }, 'Save note');
  const element = h('section', { class: 'call-tray', testid: 'call-tray', ariaLabel: 'Notes and tags', hidden: true, onkeydown: onKey },
    h('form', { class: 'call-tray-note', onsubmit: submit }, note.element, h('div', { class: 'row' }, save, said)), pane);
  let marks = null;

  function show(wish, byKey = false) {
    if (element.hidden === !wish) return;
    element.hidden = !wish;
    marks ??= wish ? marksPane(pane, scope, call) : null;
    if (wish) element.querySelector('textarea').focus();
    onToggle(wish, byKey);
  }

  function onKey(event) {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    show(false, true);
  }

  async function submit(event) {
    event.preventDefault();
    if (!note.value()) return;
    save.disabled = true;
    try {
      await api.post(`/v1/calls/${encodeURIComponent(call.id)}/notes`, { text: note.value() });
      note.clear();
      keepDraft(call.id, { note: '' });
      said.textContent = 'Saved with the call.';
    } catch (error) {
      toastError('The note was not saved', error);
    } finally {
      save.disabled = false;
    }
  }

  return {
    element,
    show,
    isOpen: () => !element.hidden,
    update(changed) {
      call = changed;
      marks?.update(changed);
    },
    close: () => scope.close(),
  };
}
