// The incoming call, on every page and in every tab. An alert dialog that traps nothing: it never
// takes the focus from a field, and neither Enter nor Space reaches Accept unless it was chosen.

import { on } from '../bus.js';
import { serverNow } from '../clock.js';
import { soundUnlocked } from '../levels.js';
import { accept } from '../line.js';
import { reject, shown } from '../offers.js';
import { warmTrouble } from '../phone.js';
import { setRingingTitle } from '../router.js';
import { numberOf, state } from '../state.js';
import { isLeader } from '../tabs.js';
import { busyReply } from './busy.js';
import { bdi, fill, h, icon, setText } from './dom.js';
import { flag } from './flag.js';
import { contactName, contactNumber, countryName, duration, words } from './format.js';
import { KEYS, pressed } from './keys.js';
import { avatar } from './parts.js';

/** An answer that takes longer than this explains itself. */
const SLOW_MS = 1_000;
const LATE_MS = 6_000;
const FLASH_MS = 1_000;

/** offer id → { element, update } */
const open = new Map();
let closers = [];
/** The title that rings now. */
let ringing = null;

export function startPopups() {
  const timer = setInterval(updateAll, 250);
  document.addEventListener('keydown', onKey);
  closers = [on('offers', render), on('readiness', updateAll), () => clearInterval(timer), () => document.removeEventListener('keydown', onKey)];
  render();
}

export function stopPopups() {
  closers.forEach((close) => close());
  for (const { element } of open.values()) element.remove();
  open.clear();
  showRinging();
}

function render() {
  for (const [id, { element }] of open) {
    if (inSight(id)) continue;
    giveFocusBack(element);
    element.remove();
    open.delete(id);
  }
  for (const offer of state.offers.values()) {
    if (open.has(offer.offer_id) || offer.elsewhere) continue;
    const popup = build(offer);
    open.set(offer.offer_id, popup);
    document.getElementById('popups').append(popup.element);
    // With nothing in the person's hands, Tab should go to the call. Typing is never interrupted.
    if (document.activeElement === document.body) popup.element.focus({ preventScroll: true });
    onScreen(() => shown(offer.offer_id));
  }
  updateAll();
  showRinging();
}

function inSight(id) {
  const offer = state.offers.get(id);
  return offer !== undefined && !offer.elsewhere;
}

function build(offer) {
  const { offer_id: id, contact } = offer;
  const nameId = `popup-name-${id}`;
  const textId = `popup-text-${id}`;
  const timer = h('span', { testid: 'popup-timer', class: 'num' });
  const handOver = h('span', { class: 'num' });
  const bar = h('i');
  const barBox = h('div', { class: 'popup-bar', hidden: true, ariaHidden: 'true' }, bar);
  const trouble = h('p', { class: 'popup-trouble', role: 'status', hidden: true });
  const acceptButton = h('button', { type: 'button', class: 'popup-accept', testid: 'popup-accept', ariaKeyShortcuts: KEYS.accept.keys, onclick: () => accept(id) }, icon('phone'), h('span', null, 'Accept'));
  const rejectButton = h('button', { type: 'button', class: 'popup-reject', testid: 'popup-reject', ariaKeyShortcuts: KEYS.reject.keys, onclick: () => reject(id) }, icon('hangup'), h('span', null, 'Reject'));
  const number = numberOf(offer.number_id);
  const note = lastNote(contact);
  const asked = offer.cta_payload || offer.deeplink_payload;
  const busyPart = busyReply(id);

  const element = h('section', {
    class: 'popup', testid: 'popup', role: 'alertdialog', ariaModal: 'false', ariaLabelledBy: nameId, ariaDescribedBy: textId, tabindex: -1, data: { offerId: id },
  },
  h('p', { class: 'visually-hidden', role: 'alert' }, `Incoming WhatsApp call from ${contactName(contact)}. Alt Shift A accepts, Alt Shift R rejects.`),
  h('div', { class: 'popup-top' }, icon('in', 'icon-s'), h('span', null, 'Incoming WhatsApp call'), number && h('span', { class: 'num' }, 'to ', number)),
  h('div', { class: 'popup-who' },
    h('div', { class: 'popup-avatar' }, avatar(contact, 'avatar-l')),
    h('div', null,
      h('div', { class: 'popup-name', id: nameId, testid: 'popup-name' }, bdi(contactName(contact))),
      h('div', { class: 'popup-number', testid: 'popup-number' }, h('span', { class: 'num' }, bdi(contactNumber(contact))),
        offer.country && h('span', { testid: 'popup-country' }, ' · ', flag(offer.country), ` ${countryName(offer.country)}`)))),
  offer.tags?.length > 0 && h('ul', { class: 'popup-tags', testid: 'popup-tags', ariaLabel: 'Tags of earlier calls' }, offer.tags.map((tag) => h('li', null, bdi(tag)))),
  asked && h('p', { class: 'popup-note', testid: 'popup-asked' }, icon('link', 'icon-s'), h('span', null, offer.cta_payload ? 'Pressed the call button: ' : 'Followed a call link: ', bdi(asked))),
  note && h('p', { class: 'popup-note', testid: 'popup-note' }, icon('notes', 'icon-s'), bdi(note)),
  h('div', { id: textId, class: 'popup-reason' }, offer.reason ? [icon('route', 'icon-s'), h('span', null, h('span', { class: 'visually-hidden' }, 'Why you: '), capital(words.reason(offer.reason)))] : 'Offered to you'),
  h('div', { class: 'popup-wait' },
    h('div', { class: 'popup-wait-words' }, timer, handOver),
    barBox),
  trouble,
  h('div', { class: 'popup-buttons' }, rejectButton, acceptButton),
  busyPart.button, busyPart.element,
  h('div', { class: 'popup-keys', ariaHidden: 'true' },
    h('span', null, h('kbd', null, KEYS.reject.keys), 'Reject'),
    h('span', null, 'Accept', h('kbd', null, KEYS.accept.keys))));

  const calledAt = offer.called_at ? Date.parse(offer.called_at) : offer.offeredAt;
  const total = offer.expires_at ? Math.max(1, Date.parse(offer.expires_at) - offer.offeredAt) : null;
  const update = () => {
    const now = serverNow();
    setText(timer, `Waiting ${duration(now - calledAt)}`);
    if (total !== null) {
      const left = Math.max(0, Date.parse(offer.expires_at) - now);
      setText(handOver, left > 0 ? `Rings here for ${Math.ceil(left / 1000)} s` : 'Moving on');
      barBox.hidden = false;
      barBox.toggleAttribute('data-late', left < LATE_MS);
      bar.style.setProperty('--left', String(Math.min(1, left / total)));
    }
    const { busy } = offer;
    acceptButton.disabled = rejectButton.disabled = busy !== null;
    busyPart.setDisabled(busy !== null);
    setText(acceptButton.lastElementChild, busy === 'accept' ? 'Connecting…' : 'Accept');
    setText(rejectButton.lastElementChild, busy === 'reject' ? 'Rejecting…' : 'Reject');
    tell(trouble, troubleOf(offer));
  };
  return { element, update };
}

/** The gateway's reason is half a sentence. */
function capital(text) {
  return text[0].toLocaleUpperCase() + text.slice(1);
}

/** What somebody wrote down of this customer last, where the gateway keeps notes. */
function lastNote(contact) {
  const note = contact.last_note;
  return (typeof note === 'string' ? note : note?.text) || null;
}

function troubleOf(offer) {
  if (offer.busy === 'accept' && performance.now() - offer.busySince > SLOW_MS) {
    return 'Still connecting: the gateway waits for WhatsApp to confirm the answer.';
  }
  const audio = warmTrouble(offer.offer_id);
  if (audio) return audio;
  if (isLeader() && !soundUnlocked()) return 'Silent: the browser holds sound back until you click anywhere.';
  return null;
}

function tell(element, sentence) {
  const was = element.dataset.said ?? '';
  if (was === (sentence ?? '')) return;
  element.dataset.said = sentence ?? '';
  element.hidden = sentence === null;
  fill(element, sentence && [icon('warn', 'icon-s'), h('span', null, sentence)]);
}

function updateAll() {
  for (const { update } of open.values()) update();
  if (open.size > 0) showRinging();
}

function onKey(event) {
  const deed = { accept, reject }[pressed(event)];
  const [id] = open.keys();
  if (!deed || id === undefined) return;
  void deed(id);
  event.preventDefault();
}

/** Runs when the popup has been painted; a hidden tab paints nothing, but it rings and notifies. */
function onScreen(fn) {
  if (document.visibilityState === 'visible') requestAnimationFrame(() => fn());
  else fn();
}

function giveFocusBack(element) {
  if (!element.contains(document.activeElement)) return;
  document.getElementById('view')?.focus({ preventScroll: true });
}

/** The tab's title and icon take turns, to be seen among other tabs; not for those who want no motion. */
function showRinging() {
  const offer = [...state.offers.values()].find(({ elsewhere }) => !elsewhere);
  const turn = offer && !matchMedia('(prefers-reduced-motion: reduce)').matches && Math.floor(performance.now() / FLASH_MS) % 2 === 1;
  const name = offer && contactName(offer.contact);
  const title = offer ? (turn ? `Incoming call: ${name}` : `☎ ${name}`) : null;
  if (title !== ringing) setRingingTitle(title);
  ringing = title;
  const wanted = offer && !turn ? '/favicon-ringing.svg' : '/favicon.svg';
  const link = document.querySelector('link[rel="icon"]');
  if (link.getAttribute('href') !== wanted) link.setAttribute('href', wanted);
}
