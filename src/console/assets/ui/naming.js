// What a customer is called: read by everybody, changed in its place by those who may.

import { api } from '../api.js';
import { state } from '../state.js';
import { mayAssign } from './assign.js';
import { bdi, fill, h } from './dom.js';
import { contactName } from './format.js';
import { toastError } from './toast.js';

/** As long as somebody writes in it, `editing` is true: whoever draws around it waits. `onDone(contact)` when that is over. */
export function naming(onDone) {
  const element = h('div', { class: 'naming' });
  const self = { element, editing: false, draw };

  function draw(contact) {
    const may = contact.assignee_id === state.agent.id || mayAssign(contact);
    fill(element, h('h1', { tabindex: -1 }, bdi(contactName(contact))),
      may && h('button', { type: 'button', class: 'link small', testid: 'name-edit', ariaLabel: 'Change the name', onclick: () => edit(contact) }, 'Change name'));
  }

  function edit(contact) {
    self.editing = true;
    const input = h('input', { class: 'input', testid: 'name-input', ariaLabel: 'Name', ariaDescribedBy: 'name-hint', maxlength: 200, autocomplete: 'off', value: contact.name ?? '' });
    const save = h('button', { type: 'submit', class: 'btn btn-s btn-primary', testid: 'name-save' }, 'Save');
    const done = (fresh) => {
      self.editing = false;
      onDone(fresh);
      element.querySelector('button')?.focus();
    };
    const form = h('form', {
      class: 'stack-gap',
      onkeydown: (event) => { if (event.key === 'Escape') done(contact); },
      onsubmit: async (event) => {
        event.preventDefault();
        const name = input.value.trim() || null;
        if (name === contact.name) return done(contact);
        save.disabled = true;
        try {
          done(await api.put(`/v1/contacts/${encodeURIComponent(contact.id)}`, { name }));
        } catch (error) {
          save.disabled = false;
          toastError('The name was not changed', error);
        }
      },
    }, h('div', { class: 'row' }, input, save, h('button', { type: 'button', class: 'btn btn-s', onclick: () => done(contact) }, 'Cancel')),
    h('p', { class: 'dim small', id: 'name-hint' }, 'Leave it empty for the name that the customer has in WhatsApp.'));
    fill(element, form);
    input.focus();
    input.select();
  }
  return self;
}
