// Notes on a call or a customer: who wrote what, when. Text, never markup.

import { api, query } from '../api.js';
import { agentName, state } from '../state.js';
import { bdi, fill, h, icon } from './dom.js';
import { when } from './format.js';
import { failed, skeleton } from './parts.js';
import { toastError } from './toast.js';

/** As the API has it. */
const NOTE_CHARS_MAX = 4_000;
const PAGE = 20;
const GATHER_MS = 250;

/** What was typed and not saved, by agent and place: a look at another page must not lose it. */
const drafts = new Map();

let fields = 0;

/** A labelled field that grows with its text: `{ element, value(), clear() }`. */
export function noteField(label, testid) {
  fields += 1;
  const id = `note-${fields}`;
  const area = h('textarea', { id, testid, class: 'input note-area', rows: 2, maxlength: NOTE_CHARS_MAX, placeholder: 'What the next person should know' });
  return {
    element: h('div', { class: 'field note-field' }, h('label', { for: id }, label), area),
    value: () => area.value.trim(),
    set: (text) => { area.value = text; },
    clear: () => { area.value = ''; },
  };
}

/** Fills `root` with the notes under `path` (`/v1/contacts/…/notes`), live; `concerns(note)` tells whose events they are. */
export function showNotes(root, scope, path, concerns) {
  const here = location.pathname;
  const list = h('ol', { class: 'notes', testid: 'notes' });
  const more = h('div', { class: 'more', hidden: true });
  const field = noteField('New note', 'note-text');
  const add = h('button', { type: 'submit', class: 'btn', testid: 'note-add' }, 'Add note');
  const draft = `${state.agent.id} ${path}`;
  const area = field.element.querySelector('textarea');
  area.value = drafts.get(draft) ?? '';
  area.addEventListener('input', () => drafts.set(draft, area.value));
  const form = h('form', { class: 'note-form', onsubmit: submit }, field.element, add);
  fill(root, skeleton(2));

  async function load(cursor) {
    try {
      const page = await api.get(query(path, { limit: PAGE, cursor }), scope.signal);
      if (scope.gone) return;
      const items = page.items.map(noteItem);
      if (cursor) list.append(...items);
      else fill(list, items.length > 0 ? items : h('li', { class: 'dim' }, 'No notes yet.'));
      more.hidden = !page.next_cursor;
      fill(more, page.next_cursor && h('button', { type: 'button', class: 'link', onclick: () => load(page.next_cursor) }, 'Earlier notes'));
      if (root.firstChild !== form) fill(root, form, list, more);
    } catch (error) {
      if (!scope.gone && root.firstChild !== form) fill(root, failed(error, () => load()));
    }
  }

  async function submit(event) {
    event.preventDefault();
    const text = field.value();
    if (!text) return;
    add.disabled = true;
    try {
      await api.post(path, { text });
      field.clear();
      drafts.delete(draft);
      await load();
    } catch (error) {
      toastError('The note was not saved', error);
    } finally {
      add.disabled = false;
    }
  }

  let asked = null;
  scope.add(() => clearTimeout(asked));
  scope.on('note', (note) => {
    if (!concerns(note)) return;
    clearTimeout(asked);
    asked = setTimeout(() => load(), GATHER_MS);
  });
  void load();

  function noteItem({ id, author_id: author, author_key: key, text, created_at: at, call_id: callId }) {
    const mine = author === state.agent.id;
    return h('li', { class: 'note', testid: 'note', data: { noteId: id } },
      h('div', { class: 'note-head' },
        h('strong', null, bdi(agentName(author) ?? `${key ?? 'A program'}`)),
        h('time', { class: 'dim small', datetime: at }, when(at)),
        callId && (here === `/calls/${callId}` ? h('span', { class: 'dim small' }, 'on this call') : h('a', { class: 'small', href: `/calls/${callId}` }, 'on a call')),
        (mine || state.session.grants?.manage) && h('button', { type: 'button', class: 'note-remove', ariaLabel: 'Remove this note', title: 'Remove', onclick: (event) => askToRemove(event.currentTarget, id) }, icon('close', 'icon-s'))),
      h('p', { class: 'note-text' }, bdi(text)));
  }

  /** A second click within some seconds: there is no way back. */
  function askToRemove(button, id) {
    const sure = h('button', { type: 'button', class: 'btn btn-s btn-stop', testid: 'note-remove-sure', onclick: () => remove(id) }, 'Remove for good');
    button.replaceWith(sure);
    sure.focus();
    sure.addEventListener('blur', () => sure.replaceWith(button), { once: true });
  }

  async function remove(id) {
    try {
      await api.delete(`/v1/notes/${id}`);
      await load();
      list.tabIndex = -1;
      list.focus();
    } catch (error) {
      toastError('The note was not removed', error);
    }
  }
}
