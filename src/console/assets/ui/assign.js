// Whose a customer is. Who may say so gets a list to choose from, everybody else reads a name.

import { api } from '../api.js';
import { agentName, state } from '../state.js';
import { h } from './dom.js';
import { contactName } from './format.js';
import { toast, toastError } from './toast.js';

/** `field`: `assignee_id` or `owner_id`. */
export function assignment(contact, field, label) {
  const held = contact[field];
  if (!state.session.grants?.manage) return agentName(held) ?? h('span', { class: 'dim' }, 'Nobody');
  const agents = [...state.agents.values()].sort((one, other) => one.name.localeCompare(other.name));
  const select = h('select', { class: 'select select-s', testid: `choose-${field}`, ariaLabel: label, onchange: change },
    h('option', { value: '', selected: !held }, 'Nobody'),
    held && !state.agents.has(held) && h('option', { value: held, selected: true }, held),
    agents.map(({ id, name, status }) => h('option', { value: id, selected: id === held }, status === 'online' ? `${name} (online)` : name)));

  async function change() {
    const wish = select.value || null;
    select.disabled = true;
    try {
      await api.put(`/v1/contacts/${encodeURIComponent(contact.id)}`, { [field]: wish });
      toast({ title: contactName(contact), text: `${label}: ${agentName(wish) ?? 'nobody'}.`, tone: 'go' });
    } catch (error) {
      select.value = held ?? '';
      toastError('It was not changed', error);
    } finally {
      select.disabled = false;
    }
  }
  return select;
}
