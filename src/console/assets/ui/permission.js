// Whether this customer may be called, and what to do when not: the chip, every reason with the time
// it clears, and the way to ask.

import { serverNow } from '../clock.js';
import { agentName, myCall, state } from '../state.js';
import { openAskDialog } from './askdialog.js';
import { fill, h, icon, setText } from './dom.js';
import { permissionTone, timeLeft, when, words } from './format.js';
import { facts, notice, skeleton } from './parts.js';

export function permissionChip(permission) {
  if (!permission) return null;
  const until = permission.status === 'temporary' && permission.expires_at ? ` until ${when(permission.expires_at)}` : '';
  return h('span', { class: 'chip', testid: 'permission-chip', data: { tone: permissionTone(permission.status), status: permission.status } }, `Permission: ${words.permission(permission.status)}${until}`);
}

/** Fills `box`; `onDue()` is called when a shown time has come. Answers a function to be called each second. */
export function drawPermission(box, { contact, callability, trouble, numberId, onDue }) {
  if (trouble) {
    fill(box, h('p', { class: 'dim' }, trouble.message));
    return () => {};
  }
  if (!callability) {
    fill(box, skeleton(2));
    return () => {};
  }
  const countdowns = [];
  const countdown = (time, testid) => {
    const element = h('span', { class: 'num', testid });
    countdowns.push({ element, at: Date.parse(time) });
    return element;
  };
  const { permission, blockers, callable, request, risk } = callability;
  const mine = contact.assignee_id === state.agent.id;
  fill(box, h('div', { class: 'stack-gap' },
    facts([
      ['Permission', words.permission(permission.status)],
      ['Expires', permission.expires_at && [when(permission.expires_at), h('span', { class: 'dim' }, ' · ', countdown(permission.expires_at, 'expires-in'), ' left')]],
      ['Asked', permission.requested_at && permission.status === 'requested' && [when(permission.requested_at), asker(permission.requested_by)].filter(Boolean).join(' by ')],
      ['Answer until', permission.status === 'requested' && permission.request_expires_at && when(permission.request_expires_at)],
      ['Request limit resets', request.next_allowed_at && [h('span', null, when(request.next_allowed_at)), h('span', { class: 'dim' }, ' · in ', countdown(request.next_allowed_at, 'request-resets'))]],
    ]),
    risk?.unanswered_in_a_row > 0 && risk.message && notice('warn', 'warn', h('span', { testid: 'risk' }, risk.message)),
    myCall()?.contact.id === contact.id ? good('You are in a call with this customer.')
      : callable ? good(mine ? 'You can call this customer now.' : 'The assignee can call this customer now.') : reasons('blockers', 'Why this customer cannot be called now', blockers, countdown),
    mine && !myCall() && askPart(contact, callability, numberId, countdown)));

  let due = false;
  const tick = () => {
    for (const { element, at } of countdowns) {
      const left = at - serverNow();
      setText(element, timeLeft(left));
      if (left <= 0 && !due) {
        due = true; // once: the next answer has new times
        setTimeout(onDue, 1_000);
      }
    }
  };
  tick();
  return tick;
}

/** Asking is the assignee's, as calling is; where it is not possible, the reasons stand in the button's place. */
function askPart(contact, callability, numberId, countdown) {
  const { permission, request } = callability;
  if (permission.status === 'permanent') return null;
  if (!request.allowed) return reasons('ask-blockers', 'Why you cannot ask for permission now', request.blockers, countdown);
  return h('div', null, h('button', {
    type: 'button', class: 'btn', testid: 'ask-permission', onclick: () => openAskDialog(contact, callability, numberId),
  }, icon('shield'), permission.status === 'temporary' ? 'Ask for an extension' : 'Ask for permission'));
}

function good(text) {
  return h('ul', { class: 'blockers' }, h('li', { data: { good: '' } }, icon('check', 'icon-s'), h('span', null, text)));
}

function reasons(testid, title, blockers, countdown) {
  return h('div', { testid }, h('p', { class: 'label' }, title),
    h('ul', { class: 'blockers' }, blockers.map(({ code, message, clears_at: clearsAt }) => h('li', { data: { code } }, icon('warn', 'icon-s'),
      h('span', null, message, clearsAt && h('span', { class: 'dim' }, ' Possible again in ', countdown(clearsAt), `, ${when(clearsAt)}.`))))));
}

function asker(by) {
  return by && (by.kind === 'agent' ? agentName(by.agent_id) : `${by.name} (program)`);
}
