// Whose a customer is. Who may say so gets a list to choose from, everybody else reads a name.

import { api } from '../api.js';
import { agentName, state } from '../state.js';
import { h } from './dom.js';
import { contactName } from './format.js';
import { toast, toastError } from './toast.js';

/** To whom this customer may be given; null: it is not for this agent to say. As the gateway decides it. */
function among(contact) {
  const assign = state.session.grants?.assign ?? 'none';
  const all = [...state.agents.values()];
  if (assign === 'all') return all;
  const team = state.agent.team_id;
  if (assign !== 'team' || !team) return null;
  const ours = (id) => !id || state.agents.get(id)?.team_id === team;
  return ours(contact.assignee_id) && ours(contact.owner_id) ? all.filter((agent) => agent.team_id === team) : null;
}

/** Whether this agent says whose the customer is. */
export function mayAssign(contact) {
  return among(contact) !== null;
}

/** `field`: `assignee_id` or `owner_id`. */
export function assignment(contact, field, label) {
  const held = contact[field];
  const agents = among(contact);
  if (agents === null) return agentName(held) ?? h('span', { class: 'dim' }, 'Nobody');
  agents.sort((one, other) => one.name.localeCompare(other.name));
  const select = h('select', { class: 'select select-s', testid: `choose-${field}`, ariaLabel: label, ariaDescription: 'Enter saves the choice.', data: { keep: field }, onkeydown: keyed, onmousedown: () => { byKeys = false; }, onchange: changed, onblur: save },
    h('option', { value: '', selected: !held }, 'Nobody'),
    held && !state.agents.has(held) && h('option', { value: held, selected: true }, held),
    agents.map(({ id, name, status }) => h('option', { value: id, selected: id === held }, status === 'online' ? `${name} (online)` : name)));

  // Arrows pass over names: what they stop at holds with Enter, or when one leaves the field.
  let byKeys = false;
  function keyed({ key }) {
    byKeys = key !== 'Enter';
    if (key === 'Escape') select.value = contact[field] ?? '';
    if (key === 'Enter') void save();
  }

  /** A narrow page cuts a long name. */
  const name = () => { select.title = select.selectedOptions[0]?.textContent ?? ''; };
  name();

  function changed() {
    name();
    if (byKeys) select.dataset.choosing = '';
    else void save();
  }

  let saving = false;
  async function save() {
    const wish = select.value || null;
    delete select.dataset.choosing;
    if (saving || wish === (contact[field] ?? null)) return;
    saving = true;
    select.setAttribute('aria-busy', 'true');
    try {
      await api.put(`/v1/contacts/${encodeURIComponent(contact.id)}`, { [field]: wish });
      contact[field] = wish;
      toast({ title: contactName(contact), text: `${label}: ${agentName(wish) ?? 'nobody'}.`, tone: 'go' });
    } catch (error) {
      select.value = contact[field] ?? '';
      toastError('It was not changed', error);
    } finally {
      saving = false;
      select.setAttribute('aria-busy', 'false');
    }
  }
  return select;
}
