// One customer: who takes care of them, whether they may be called, and every call so far.

import { api, query } from '../api.js';
import { setTitle } from '../router.js';
import { agentName, myCall, state } from '../state.js';
import { bdi, fill, h, icon } from '../ui/dom.js';
import { blockerList, callabilityPath, openCallDialog } from '../ui/calldialog.js';
import { CallTable, OF_CONTACT } from '../ui/calltable.js';
import { contactName, contactNumber, permissionTone, when, whenExactly, words } from '../ui/format.js';
import { avatar, empty, facts, failed, skeleton } from '../ui/parts.js';

/** What the agent can clear alone, in a moment: the button stays, the dialog says what to do. */
const FIXABLE = new Set(['agent_busy', 'call_in_progress', 'draining']);
const PAGE = 20;
const GATHER_MS = 250;

export function contactView(root, scope, { id }) {
  setTitle('Contact');
  let contact = null;
  let callability = null;
  let trouble = null;
  const head = h('div', { class: 'page-head' });
  const factBox = h('div', { class: 'card-pad' }, skeleton(4));
  const permissionBox = h('div', { class: 'card-pad' }, skeleton(2));
  const callsBox = h('div', null, skeleton(4));
  const page = h('div', { class: 'page' }, crumb(), head,
    h('div', { class: 'two two-wide' },
      h('div', null, h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Calls with this customer')), callsBox)),
      h('div', null,
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Calling this customer')), permissionBox),
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Customer')), factBox))));
  fill(root, page);

  const drawHead = () => {
    setTitle(contactName(contact));
    const button = mayShowButton(contact, callability) && h('button', { type: 'button', class: 'btn btn-go', testid: 'call-button', onclick: () => openCallDialog(contact) }, icon('phone'), 'WhatsApp Call');
    fill(head, h('div', { class: 'head-who' }, avatar(contact, 'avatar-l'),
      h('div', null, h('h1', { tabindex: -1 }, bdi(contactName(contact))),
        h('div', { class: 'head-sub' }, h('span', { class: 'num' }, bdi(contactNumber(contact))), permissionChip(callability?.permission)))),
    button);
  };
  const drawFacts = () => fill(factBox, facts([
    ['Assignee', agentName(contact.assignee_id) ?? h('span', { class: 'dim' }, 'Nobody')],
    ['Owner', agentName(contact.owner_id) ?? h('span', { class: 'dim' }, 'Nobody')],
    ['Number', contact.phone && h('span', { class: 'num' }, contact.phone)],
    ['WhatsApp name', contact.username && bdi(`@${contact.username}`)],
    ['WhatsApp user id', contact.user_id && h('span', { class: 'mono' }, contact.user_id)],
    ['Contact since', when(contact.created_at)],
  ]));
  const drawPermission = () => fill(permissionBox, callingWords(contact, callability, trouble));
  const draw = () => {
    if (!contact) return;
    drawHead();
    drawFacts();
    drawPermission();
  };

  async function loadCallability() {
    try {
      callability = await api.get(callabilityPath(contact.id, state.numbers[0]?.id), scope.signal);
      trouble = null;
    } catch (error) {
      if (scope.gone) return;
      callability = null;
      trouble = error;
    }
    if (!scope.gone) draw();
  }

  async function load() {
    try {
      contact = await api.get(`/v1/contacts/${encodeURIComponent(id)}`, scope.signal);
    } catch (error) {
      if (!scope.gone) fill(page, crumb(), h('h1', { tabindex: -1 }, 'Contact'), h('div', { class: 'card' }, failed(error, error.status === 404 ? null : load)));
      return;
    }
    if (scope.gone) return;
    draw();
    void loadCallability();
    pastCalls(callsBox, scope, contact.id);
  }

  // A call's start or end, an assignment, the customer's word, our own status: each may change the answer.
  let asked = null;
  const askSoon = () => {
    asked ??= setTimeout(() => {
      asked = null;
      if (contact && !scope.gone) void loadCallability();
    }, GATHER_MS);
  };
  scope.add(() => clearTimeout(asked));
  scope.on('contact', (changed) => {
    if (changed.id !== contact?.id) return;
    contact = changed;
    draw(); // a button that must vanish vanishes now, not after the next answer
    askSoon();
  });
  scope.on('permission', (permission) => {
    if (permission.contact_id === contact?.id) askSoon();
  });
  scope.on('call', (call) => {
    if (call.contact?.id === contact?.id || call.agent_id === state.agent?.id) askSoon();
  });
  scope.on('agent', () => {
    draw();
    askSoon();
  });
  scope.on('resync', askSoon);
  void load();
}

function crumb() {
  return h('a', { class: 'crumb', href: '/contacts' }, icon('back', 'icon-s'), 'Contacts');
}

/** Absent, not disabled, for everybody but the assignee, whatever the permission says. */
function mayShowButton(contact, callability) {
  if (contact.assignee_id !== state.agent.id || !callability || myCall()) return false;
  return callability.callable || callability.blockers.every(({ code }) => FIXABLE.has(code));
}

function permissionChip(permission) {
  if (!permission) return null;
  const until = permission.status === 'temporary' && permission.expires_at ? ` until ${when(permission.expires_at)}` : '';
  return h('span', { class: 'chip', testid: 'permission-chip', data: { tone: permissionTone(permission.status), status: permission.status } }, `Permission: ${words.permission(permission.status)}${until}`);
}

function callingWords(contact, callability, trouble) {
  if (trouble) return h('p', { class: 'dim' }, trouble.message);
  if (!callability) return skeleton(2);
  const { permission, blockers, callable, request } = callability;
  return h('div', { class: 'stack-gap' },
    facts([
      ['Permission', words.permission(permission?.status)],
      ['Expires', permission?.expires_at && whenExactly(permission.expires_at)],
      ['Asked by', asker(permission?.requested_by)],
      ['Free-form request', request?.free_form_allowed && `until ${whenExactly(request.window_closes_at)}`],
      ['Next request', request && !request.allowed && request.next_allowed_at && `from ${whenExactly(request.next_allowed_at)}`],
    ]),
    callable
      ? h('ul', { class: 'blockers' }, h('li', { data: { good: '' } }, icon('check', 'icon-s'), h('span', null, contact.assignee_id === state.agent.id ? 'You can call this customer now.' : 'This customer can be called by the assignee.')))
      : h('div', { testid: 'blockers' }, h('p', { class: 'label' }, 'Why you cannot call now'), blockerList(blockers)));
}

function asker(by) {
  return by && (by.kind === 'agent' ? agentName(by.agent_id) : `${by.name} (program)`);
}

function pastCalls(box, scope, contactId) {
  const table = new CallTable(OF_CONTACT, { label: 'Calls with this customer' });
  let asked = null;
  const load = async () => {
    try {
      const page = await api.get(query('/v1/calls', { section: 'all', contact: contactId, limit: PAGE }), scope.signal);
      table.putFirst(page.items);
      if (table.size === 0) fill(box, empty('calls', 'No calls yet', 'Calls with this customer, answered or missed, appear here.'));
      else if (box.firstChild !== table.element) fill(box, table.element);
    } catch (error) {
      if (!scope.gone && table.size === 0) fill(box, failed(error, load));
    }
  };
  const askSoon = () => {
    asked ??= setTimeout(() => {
      asked = null;
      if (!scope.gone) void load();
    }, GATHER_MS);
  };
  scope.add(() => clearTimeout(asked));
  scope.on('call', (call) => {
    if (table.has(call.id)) table.update(call);
    else if (call.contact?.id === contactId) askSoon();
  });
  scope.on('resync', askSoon);
  scope.every(1_000, () => table.tick());
  void load();
}
