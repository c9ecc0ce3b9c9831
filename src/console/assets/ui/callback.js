// What an agent can do for one customer from a list: call, ask for permission, or read why not.

import { api } from '../api.js';
import { state } from '../state.js';
import { callabilityPath, openCallDialog } from './calldialog.js';
import { fill, h, icon } from './dom.js';
import { toast, toastError } from './toast.js';

/** An element that fills itself once the gateway has said what is possible; then `onFilled()`. */
export function callBackAction(contact, numberId, scope, onFilled = () => {}) {
  const box = h('span', { class: 'callback' });
  // Chats of others are looked at on their own page; nothing can be done with them from here.
  if (contact.assignee_id !== state.agent.id) return fill(box, open(contact));
  api.get(callabilityPath(contact.id, numberId), scope.signal).then(
    (answer) => {
      if (scope.gone) return;
      fill(box, action(contact, numberId, answer, box));
      onFilled();
    },
    () => { if (!scope.gone) fill(box, open(contact)); },
  );
  return box;
}

function action(contact, numberId, { callable, blockers, request }, box) {
  if (callable) {
    return h('button', { type: 'button', class: 'btn btn-go btn-s', testid: 'call-back', onclick: () => {
      openCallDialog(contact, numberId);
    } }, icon('phone', 'icon-s'), 'Call back');
  }
  const lacks = blockers.some(({ code }) => code === 'no_permission' || code === 'permission_expired');
  if (lacks && request?.allowed && request.free_form_allowed) {
    return h('button', { type: 'button', class: 'btn btn-s', testid: 'ask-permission', onclick: () => ask(contact, numberId, box) }, icon('note', 'icon-s'), 'Ask to call');
  }
  return [blockers[0] && h('span', { class: 'dim small', testid: 'not-now', title: blockers[0].message }, blockers[0].message), open(contact)];
}

async function ask(contact, numberId, box) {
  const button = box.querySelector('button');
  button.disabled = true;
  try {
    await api.post('/v1/permission-requests', { number_id: numberId, contact: contact.id, kind: 'free_form' });
    fill(box, h('span', { class: 'dim small' }, 'Asked just now'), open(contact));
    toast({ title: 'Permission asked for', text: 'The customer sees the question in WhatsApp.', tone: 'go' });
  } catch (error) {
    button.disabled = false;
    toastError('Permission was not asked for', error);
  }
}

function open(contact) {
  return h('a', { class: 'btn btn-s', href: `/contacts/${encodeURIComponent(contact.id)}` }, 'Open');
}
