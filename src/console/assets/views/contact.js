// The conversation with one customer: who takes care of them, whether they may be called, every call
// so far with what was said in it, and what people wrote down.

import { api, query } from '../api.js';
import { prefs, setPref } from '../prefs.js';
import { setTitle } from '../router.js';
import { myCall, noteCall, state } from '../state.js';
import { assignment } from '../ui/assign.js';
import { callCard } from '../ui/callcard.js';
import { callabilityPath, numberSelect, openCallDialog } from '../ui/calldialog.js';
import { bdi, fill, h, icon } from '../ui/dom.js';
import { contactName, contactNumber, when } from '../ui/format.js';
import { naming } from '../ui/naming.js';
import { showNotes } from '../ui/notes.js';
import { avatar, empty, facts, failed, skeleton } from '../ui/parts.js';
import { drawPermission, permissionChip } from '../ui/permission.js';

/** What the agent can clear alone, in a moment: the button stays, the dialog says what to do. */
const FIXABLE = new Set(['agent_busy', 'call_in_progress', 'draining']);
const PAGE = 15;
const GATHER_MS = 250;

/** `alongside`: shown beside another page, whose title stays. */
export function contactView(root, scope, { id, alongside = false }) {
  const name = alongside ? () => {} : setTitle;
  name('Contact');
  let contact = null;
  let callability = null;
  let trouble = null;
  let tick = () => {};
  let numberId = state.numbers.find((number) => number.id === prefs.numberId)?.id ?? state.numbers[0]?.id;
  const head = h('div', { class: 'page-head' });
  const factBox = h('div', { class: 'card-pad' }, skeleton(4));
  const permissionBox = h('div', { class: 'card-pad', testid: 'permission-card' }, skeleton(2));
  const callsBox = h('div', { class: 'call-cards' }, h('div', { class: 'card' }, skeleton(4)));
  const notesBox = h('div', { class: 'card-pad' });
  const page = h('div', { class: 'page' }, crumb(), head,
    h('div', { class: 'two two-wide conversation' },
      h('section', { ariaLabel: 'Calls with this customer' }, h('h2', { class: 'section-title' }, 'Calls'), callsBox),
      h('div', null,
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Calling this customer'), state.numbers.length > 1 && numberSelect('contact-number', numberId, chooseNumber, 'From which of your numbers')), permissionBox),
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Customer')), factBox),
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Notes')), notesBox))));
  fill(root, page);

  const title = naming((named) => {
    contact = { ...contact, ...named };
    drawn = null;
    draw();
  });
  const drawHead = () => {
    name(contactName(contact));
    if (title.editing) return; // drawn when the writing is over
    title.draw(contact);
    const button = mayShowButton(contact, callability) && h('button', { type: 'button', class: 'btn btn-go', testid: 'call-button', onclick: () => openCallDialog(contact, numberId) }, icon('phone'), 'WhatsApp Call');
    const hadFocus = head.contains(document.activeElement) && document.activeElement.matches('.btn-go');
    fill(head, h('div', { class: 'head-who' }, avatar(contact, 'avatar-l'),
      h('div', null, title.element,
        h('div', { class: 'head-sub' }, h('span', { class: 'num' }, bdi(contactNumber(contact))), permissionChip(callability?.permission)))),
    button);
    if (hadFocus) (button || head.querySelector('h1')).focus({ preventScroll: true });
  };
  const drawFacts = () => {
    // Who is choosing somebody with the keys is not interrupted; the next change draws it all.
    if (factBox.querySelector('[data-choosing]')) return;
    const focused = factBox.contains(document.activeElement) && document.activeElement.dataset.keep;
    drawFactList();
    if (focused) factBox.querySelector(`[data-keep="${focused}"]`)?.focus({ preventScroll: true });
  };
  const drawFactList = () => fill(factBox, facts([
    ['Assignee', assignment(contact, 'assignee_id', 'Assignee')],
    ['Owner', assignment(contact, 'owner_id', 'Owner')],
    ['Number', contact.phone && h('span', { class: 'num' }, contact.phone)],
    ['WhatsApp name', contact.username && bdi(`@${contact.username}`)],
    ['WhatsApp user id', contact.user_id && h('span', { class: 'mono' }, contact.user_id)],
    ['Contact since', when(contact.created_at)],
  ]));
  let drawn = null;
  const draw = () => {
    if (!contact) return;
    const shown = JSON.stringify([contact, numberId, callability, trouble?.message, state.agent.id, Boolean(myCall()), [...state.agents.values()]]);
    if (shown === drawn) return;
    drawn = shown;
    drawHead();
    drawFacts();
    tick = drawPermission(permissionBox, { contact, callability, trouble, numberId, onDue: askSoon });
  };

  function chooseNumber(id_) {
    numberId = id_;
    setPref('numberId', id_);
    callability = null;
    draw();
    void loadCallability();
  }

  async function loadCallability() {
    const asked = numberId;
    try {
      const answer = await api.get(callabilityPath(contact.id, asked), scope.signal);
      if (asked !== numberId) return; // another number was chosen meanwhile
      callability = answer;
      trouble = null;
    } catch (error) {
      if (scope.gone || asked !== numberId) return;
      callability = null;
      trouble = error;
    }
    if (!scope.gone) draw();
  }

  async function load() {
    try {
      contact = await api.get(`/v1/contacts/${encodeURIComponent(id)}`, scope.signal);
    } catch (error) {
      if (!scope.gone) fill(page, crumb(), h('h1', { tabindex: -1 }, 'Contact'), h('div', { class: 'card' }, error.status === 404 || error.status === 400 ? empty('contacts', 'There is no such customer', 'The link may be cut off, or belong to another gateway.') : failed(error, load)));
      return;
    }
    if (scope.gone) return;
    draw();
    void loadCallability();
    pastCalls(callsBox, scope, contact.id);
    showNotes(notesBox, scope, `/v1/contacts/${encodeURIComponent(contact.id)}/notes`, (note) => note.contact_id === contact.id);
  }

  // A call's start or end, an assignment, the customer's word, our own status: each may change the answer.
  const askSoon = scope.gathered(GATHER_MS, () => {
    if (contact) void loadCallability();
  });
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
    if (call.contact?.id !== contact?.id && call.agent_id !== state.agent?.id) return;
    draw();
    askSoon();
  });
  scope.on('agent', () => {
    draw();
    askSoon();
  });
  scope.on('resync', askSoon);
  scope.every(1_000, () => tick());
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

function pastCalls(box, scope, contactId) {
  /** call id → card, newest first in the page. */
  const cards = new Map();
  const list = h('div', { class: 'call-cards', testid: 'call-cards' });
  const more = h('div', { class: 'more', hidden: true });

  const put = (calls, atEnd) => {
    let after = null;
    for (const call of calls) {
      noteCall(call);
      const known = cards.get(call.id);
      const card = known ?? callCard(call);
      cards.set(call.id, card);
      if (known) card.update(state.calls.get(call.id) ?? call);
      else if (atEnd) list.append(card.element);
      else list.insertBefore(card.element, after ? after.nextSibling : list.firstChild);
      after = card.element;
    }
  };
  async function load(cursor) {
    try {
      const page = await api.get(query('/v1/calls', { section: 'all', contact: contactId, limit: PAGE, cursor }), scope.signal);
      put(page.items, Boolean(cursor));
      if (cursor || cards.size <= PAGE) {
        more.hidden = !page.next_cursor;
        fill(more, page.next_cursor && h('button', { type: 'button', class: 'btn btn-s', onclick: () => load(page.next_cursor) }, 'Earlier calls'));
      }
      if (cards.size === 0) fill(box, h('div', { class: 'card' }, empty('calls', 'No calls yet', 'Calls with this customer, answered or missed, appear here.')));
      else if (box.firstChild !== list) fill(box, list, more);
    } catch (error) {
      if (!scope.gone && cards.size === 0) fill(box, h('div', { class: 'card' }, failed(error, () => load())));
    }
  }
  const askSoon = scope.gathered(GATHER_MS, () => load());
  const lookAgain = async ({ call_id: callId }) => {
    if (!cards.has(callId)) return;
    try {
      noteCall(await api.get(`/v1/calls/${callId}`, scope.signal));
    } catch { /* what is shown stays; the next event asks again */ }
  };

  scope.on('call', (call) => {
    const card = cards.get(call.id);
    if (card) card.update(state.calls.get(call.id));
    else if (call.contact?.id === contactId) askSoon();
  });
  for (const topic of ['recording', 'transcript', 'summary']) scope.on(topic, lookAgain);
  scope.on('resync', askSoon);
  scope.every(1_000, () => cards.forEach((card) => card.tick()));
  scope.add(() => cards.forEach((card) => card.close()));
  void load();
}
