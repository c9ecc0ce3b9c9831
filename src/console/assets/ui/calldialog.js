// Before a call goes out: from which number, and what it means for the customer and the wallet.

import { api, query } from '../api.js';
import { on } from '../bus.js';
import { dial } from '../line.js';
import { state } from '../state.js';
import { bdi, fill, h, icon } from './dom.js';
import { contactName, contactNumber, countryName, money, when } from './format.js';
import { avatar, notice } from './parts.js';
import { openDialog } from './dialog.js';

const NOTES = [
  ['phone', 'The customer receives this call in WhatsApp.'],
  ['note', 'The charge depends on the customer’s country and your plan.'],
  ['note', 'The cost leaves your wallet.'],
];

/**
 * An assignment, a permission or another call may change the answer while the dialog is read: it follows. `numberId`: the business
 * number that it begins with.
 */
export function openCallDialog(contact, numberId) {
  const trouble = h('div', { ariaLive: 'polite' });
  const price = h('ul', { class: 'blockers', ariaLive: 'polite' });
  let start;

  let asked = 0;
  let starting = false;
  /** `again`: the answer before stands until the new one comes, so that no click is lost meanwhile. */
  const check = async (again = false) => {
    if (!again) start.disabled = true;
    asked += 1;
    const mine = asked;
    try {
      const answer = await api.get(callabilityPath(contact.id, numberId));
      if (mine !== asked || starting) return; // an older question than the last
      fill(price, priceNotes(answer.rate));
      fill(trouble, !answer.callable && blockerNotice(answer.blockers), answer.callable && answer.risk?.unanswered_in_a_row > 0 && notice('warn', 'warn', answer.risk.message));
      start.disabled = !answer.callable;
    } catch (error) {
      if (mine !== asked || starting) return;
      fill(price);
      fill(trouble, notice('stop', 'warn', error.message));
    }
  };

  const follow = (about) => { if (about && !starting) void check(true); };
  const closers = [
    on('contact', ({ id, assignee_id: assignee }) => {
      if (id === contact.id && assignee !== state.agent?.id) start.disabled = true;
      follow(id === contact.id);
    }),
    on('permission', ({ contact_id: id }) => follow(id === contact.id)),
    on('call', (call) => follow(call.contact?.id === contact.id || call.agent_id === state.agent?.id)),
    on('resync', () => follow(true)),
  ];
  const close = openDialog({
    title: 'WhatsApp call',
    testid: 'call-dialog',
    onClose: () => closers.forEach((end) => end()),
    build: (dialog) => {
      start = h('button', { type: 'button', class: 'btn btn-go', testid: 'call-start', onclick: place }, icon('phone'), h('span', null, 'Start Call'));
      async function place() {
        starting = true;
        start.disabled = true;
        start.lastElementChild.textContent = 'Starting…';
        try {
          await dial(contact.id, numberId);
          dialog.close();
        } catch (error) {
          fill(trouble, error.blockers?.length ? blockerNotice(error.blockers) : notice('stop', 'warn', error.message));
          start.lastElementChild.textContent = 'Start Call';
          start.disabled = error.blockers?.length > 0;
        } finally {
          starting = false;
        }
      }
      return {
        body: [
          h('div', { class: 'who' }, avatar(contact, 'avatar-l'), h('div', null, h('strong', null, bdi(contactName(contact))), h('span', { class: 'num' }, bdi(contactNumber(contact))))),
          h('div', { class: 'field' }, numberField((id) => {
            numberId = id;
            void check();
          }, numberId)),
          h('ul', { class: 'blockers' }, NOTES.map(([name, text]) => note(name, text))),
          price,
          trouble,
        ],
        foot: [h('button', { type: 'button', class: 'btn', onclick: dialog.close }, 'Close'), start],
      };
    },
  });
  void check();
  return close;
}

export function callabilityPath(contactId, numberId) {
  return query(`/v1/contacts/${encodeURIComponent(contactId)}/callability`, { number_id: numberId, agent_id: state.agent.id });
}

export function blockerList(blockers) {
  return h('ul', { class: 'blockers' }, blockers.map((blocker) => h('li', { data: { code: blocker.code } }, icon('warn', 'icon-s'),
    h('span', null, blocker.message, blocker.clears_at && h('span', { class: 'dim' }, ` Possible again ${when(blocker.clears_at)}.`)))));
}

function note(name, text, testid) {
  return h('li', { data: { good: '' }, testid }, icon(name, 'icon-s'), h('span', null, text));
}

/** What the call would cost, and what there is to pay it with. */
function priceNotes({ country, micros_per_minute: perMinute, currency, available_micros: available }) {
  const to = country ? ` to ${countryName(country)}` : '';
  return [
    note('note', `Estimated rate${to}: ${money(perMinute, currency)} per minute, charged for every six seconds begun.`, 'call-rate'),
    note('note', `Wallet: ${money(available, currency)} available.`, 'call-wallet'),
  ];
}

function blockerNotice(blockers) {
  return notice('warn', 'note', h('p', null, h('strong', null, 'This call is not possible now.')), blockerList(blockers));
}

const FROM = 'Call from your business number';

function numberField(onChoose, chosen) {
  if (state.numbers.length < 2) {
    return [h('span', { class: 'label' }, FROM), h('p', { class: 'num' }, h('strong', null, state.numbers[0]?.display_phone_number ?? 'the only one of this gateway'))];
  }
  return [h('label', { for: 'dial-number' }, FROM), numberSelect('dial-number', chosen, onChoose)];
}

/** The business numbers to choose from; `onChoose(id)`. */
export function numberSelect(id, chosen, onChoose, label) {
  const select = h('select', { id, class: 'select num', testid: id, ariaLabel: label, onchange: () => onChoose(select.value) },
    state.numbers.map((number) => h('option', { value: number.id, selected: number.id === chosen }, number.display_phone_number)));
  return select;
}
