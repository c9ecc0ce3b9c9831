// What people say a call was: one word of the list, and tags.

import { api } from '../api.js';
import { noteCall } from '../state.js';
import { bdi, fill, h, icon } from './dom.js';
import { toastError } from './toast.js';

/** Fills `root`; answers `{ update(call) }`. */
export function marksPane(root, scope, first) {
  let call = first;
  let names = [];
  const word = h('select', { id: 'disposition', class: 'select', testid: 'disposition', onchange: () => put('disposition', () => ({ disposition: word.value || null })) });
  const field = h('div', { class: 'field', hidden: true }, h('label', { for: 'disposition' }, 'Disposition'), word);
  const list = h('ul', { class: 'tags', testid: 'tags', ariaLabel: 'Tags' });
  const text = h('input', { id: 'new-tag', class: 'input', testid: 'tag-text', maxlength: 40, autocomplete: 'off' });
  const form = h('form', { class: 'field', onsubmit: (event) => {
    event.preventDefault();
    const tag = text.value.trim();
    if (!tag) return;
    text.value = '';
    void put('tags', () => ({ tags: [...(call.tags ?? []), tag] }), () => { text.value ||= tag; });
  } }, h('label', { for: 'new-tag' }, 'Tags'), list, h('div', { class: 'tag-form' }, text, h('button', { type: 'submit', class: 'btn', testid: 'tag-add' }, 'Add')));
  fill(root, h('div', { class: 'stack-gap' }, field, form));

  /** Tags are saved all together: each wish waits for the one before, and is made from what that left. */
  let last = Promise.resolve();
  function put(what, body, onRefused = () => {}) {
    last = last.then(async () => {
      try {
        call = await api.put(`/v1/calls/${call.id}/${what}`, body());
        noteCall(call);
      } catch (error) {
        toastError('It was not saved', error);
        onRefused();
      }
      draw();
    });
    return last;
  }

  function draw() {
    // A call keeps its word when the list changes.
    const all = call.disposition && !names.includes(call.disposition) ? [...names, call.disposition] : names;
    field.hidden = all.length === 0;
    fill(word, h('option', { value: '' }, 'Not said'), all.map((name) => h('option', { value: name }, name)));
    word.value = call.disposition ?? '';
    const tags = call.tags ?? [];
    fill(list, tags.map((tag) => h('li', null, h('span', { class: 'filter-chip' }, bdi(tag),
      h('button', { type: 'button', ariaLabel: `Remove the tag ${tag}`, onclick: () => put('tags', () => ({ tags: (call.tags ?? []).filter((other) => other !== tag) })) }, icon('close', 'icon-s'))))));
    list.hidden = tags.length === 0;
  }

  draw();
  api.get('/v1/dispositions', scope.signal).then(({ items }) => {
    names = items;
    if (!scope.gone) draw();
  }, () => { /* tags can be written all the same */ });
  return {
    update(changed) {
      const same = call.disposition === changed.disposition && String(call.tags) === String(changed.tags);
      call = changed;
      if (!same) draw();
    },
  };
}
