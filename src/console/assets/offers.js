// What rings here: the offers to this agent, from the first ring until somebody has taken them. Every tab shows them; the
// tab that is the phone sounds the bell and keeps a leg ready.

import { api } from './api.js';
import { emit, on } from './bus.js';
import { claimed } from './claim.js';
import { serverNow } from './clock.js';
import { mayNotify, notifyCall, unnotifyCall } from './notify.js';
import * as phone from './phone.js';
import { lookSoon } from './readiness.js';
import { bellIsAudible, startBell, stopBell } from './ring.js';
import { myCall, state } from './state.js';
import { isLeader, tellTabs } from './tabs.js';
import { contactName, words } from './ui/format.js';
import { toast } from './ui/toast.js';

const OFFERS_KEY = 'tandem.offers';
/** A withdrawal that got lost must not leave a popup on the screen. */
const GRACE_MS = 4_000;
/** Offered and taken away within this time: the two events came together, out of a tab that had slept. */
const TOGETHER_MS = 500;
/** A stream opened this shortly before had been lost. */
const REOPENED_MS = 2_000;

/** Receipts already sent, as `offer:kind`. */
const receipts = new Set();
/** Offers that are over: what is read of one meanwhile must not bring it back. */
const over = new Set();
/** Calls that rang here and went on to somebody else. */
const passedOn = new Set();
let openedAt = -Infinity;

/** The event stream stands (again). */
export function streamOpened() {
  openedAt = performance.now();
}

export function forgetOffers() {
  stopBell();
  over.clear();
  passedOn.clear();
  receipts.clear();
}

/** Whether the call rang here before somebody else took it; said once. */
export function rangHere(callId) {
  return passedOn.delete(callId);
}

/** The offer of a call, while it rings here. */
export function offerOf(callId) {
  return [...state.offers.values()].find((offer) => offer.call_id === callId);
}

/** With `message`, the customer reads that in WhatsApp. Answers whether it was rejected. */
export async function reject(offerId, message) {
  const offer = state.offers.get(offerId);
  if (!offer || offer.busy) return false;
  setBusy(offer, 'reject');
  try {
    await api.post(`/v1/offers/${offerId}/reject`, message ? { message } : undefined);
    removeOffer(offerId);
    return true;
  } catch (error) {
    const closed = error.blockers?.find(({ code }) => code === 'window_closed');
    refused(offerId, closed ? Object.assign(error, { message: closed.message }) : error, 'The call was not rejected');
    return false;
  }
}

/** The popup of an offer is drawn. Behind other windows that helps nobody: there the bell or a notification counts. */
export function shown(offerId) {
  if (document.visibilityState === 'visible') receipt(offerId, 'shown');
  else if (isLeader() && mayNotify()) receipt(offerId, 'shown');
  else if (isLeader() && !bellIsAudible()) receipt(offerId, 'failed', 'autoplay_blocked');
}

on('readiness', () => {
  if (!bellIsAudible()) return;
  for (const offerId of state.offers.keys()) receipt(offerId, 'audible');
});

export function addOffer(offer) {
  const id = offer.offer_id;
  if (state.offers.has(id)) return;
  state.offers.set(id, { ...offer, receivedAt: performance.now(), offeredAt: offer.offeredAt ?? serverNow(), busy: null });
  keepOffers();
  ring(id);
  expire(id, offer.expires_at);
  emit('offers');
}

export function ring(offerId) {
  if (!isLeader()) return;
  void phone.warmUp(offerId);
  ringBell();
  if (bellIsAudible()) receipt(offerId, 'audible');
  notify(state.offers.get(offerId));
}

/** Softly while a call is going on. */
function ringBell() {
  startBell(() => myCall() !== null);
}

export function withdrawOffer({ offer_id: id, reason }) {
  over.add(id);
  const offer = state.offers.get(id);
  if (!offer) return;
  if (reason === 'not_shown' && isLeader()) {
    receipt(id, 'failed', whyNotShown(offer));
  }
  // Accepted in this browser: the leg is needed, and the answer to the click decides.
  if (offer.busy === 'accept' || claimed(offer.call_id)) return;
  removeOffer(id);
  if (reason === 'not_shown') lookSoon();
  if (offer.busy === 'reject') return;
  if (['ring_timeout', 'not_shown', 'rejected'].includes(reason)) passedOn.add(offer.call_id);
  const name = contactName(offer.contact);
  const text = words.withdrawn(reason);
  if (text) toast({ title: name, text, tone: 'warn', href: `/calls/${offer.call_id}`, hrefText: 'Open call' });
}

/** Taken on another device of this agent's: WhatsApp's word on it comes later, the ring ends at once. */
export function acceptedSomewhere({ offer_id: id }) {
  over.add(id);
  const offer = state.offers.get(id);
  if (!offer || offer.busy === 'accept' || offer.elsewhere || claimed(offer.call_id)) return;
  if (isLeader()) toast({ title: contactName(offer.contact), text: 'Answered by you on another device.' });
  removeOffer(id);
}

/** It was not missed for nothing: whoever looks after the consoles finds the cause in the call's offers. */
function whyNotShown(offer) {
  if (performance.now() - openedAt < REOPENED_MS) return 'socket_dead';
  if (performance.now() - offer.receivedAt < TOGETHER_MS) return 'tab_asleep';
  return document.visibilityState === 'visible' || bellIsAudible() ? 'socket_dead' : 'autoplay_blocked';
}

export function removeOffer(id) {
  tellTabs({ kind: 'gone', offerId: id });
  dropOffer(id);
}

export function dropOffer(id) {
  over.add(id);
  if (!state.offers.delete(id)) return;
  keepOffers();
  phone.cool(id);
  unnotifyCall(id);
  if (state.offers.size === 0) stopBell();
  emit('offers');
}

export function refused(offerId, error, title) {
  const offer = state.offers.get(offerId);
  if (error.code === 'offer_not_pending' || error.status === 404) removeOffer(offerId);
  else if (offer) setBusy(offer, null);
  toast({ title, text: error.code === 'offer_not_pending' ? 'It no longer rings: the caller hung up, or another agent has taken it.' : error.message, tone: 'stop' });
}

export function setBusy(offer, busy) {
  offer.busy = busy;
  offer.busySince = performance.now();
  if (busy) stopBell();
  else if (isLeader()) ringBell();
  emit('offers');
}

/** Accept was pressed in another tab: quiet and out of sight here at once, and back should it be refused. */
export function takenInOtherTab(id, taken) {
  const offer = state.offers.get(id);
  if (!offer) return;
  offer.elsewhere = taken;
  if (taken) stopBell();
  else if (isLeader()) ringBell();
  emit('offers');
}

function expire(id, expiresAt) {
  if (!expiresAt) return;
  const left = Date.parse(expiresAt) - serverNow() + GRACE_MS;
  setTimeout(() => {
    if (state.offers.get(id)?.busy !== 'accept') dropOffer(id);
  }, Math.max(left, GRACE_MS));
}

export async function reconcileOffers(ringing, startedAt) {
  const pending = new Map();
  for (const call of ringing) {
    for (const offer of call.offers ?? []) {
      if (offer.agent_id === state.agent.id && offer.outcome === 'pending') pending.set(offer.id, { call, offer });
    }
  }
  for (const [id, offer] of state.offers) {
    if (!pending.has(id) && offer.receivedAt < startedAt) dropOffer(id);
  }
  const kept = keptOffers();
  await Promise.all([...pending].map(async ([id, { call, offer }]) => {
    if (state.offers.has(id)) return;
    const told = kept[id] ?? await readOffer(call, offer);
    if (!over.has(id)) addOffer(told);
  }));
}

/** What its event told to those who heard it, out of what happened in the call; should that fail, it rings with less. */
async function readOffer(call, { id, reason, offered_at: offeredAt }) {
  const [{ items }, contact] = await Promise.all([
    api.get(`/v1/calls/${encodeURIComponent(call.id)}/timeline`).catch(() => ({ items: [] })),
    api.get(`/v1/contacts/${encodeURIComponent(call.contact.id)}`).catch(() => null),
  ]);
  const told = items.find(({ type, data }) => type === 'offer.created' && data?.offer_id === id)?.data;
  return {
    offer_id: id, call_id: call.id, number_id: call.number_id, called_at: call.created_at, tags: [],
    cta_payload: call.cta_payload, deeplink_payload: call.deeplink_payload, reason, expires_at: null, country: contact?.country,
    ...told, contact: { ...call.contact, last_note: contact?.last_note }, offeredAt: Date.parse(offeredAt),
  };
}

/** A reload forgets when an offer moves on and what was said with it; the list of calls does not say. */
function keepOffers() {
  try {
    sessionStorage.setItem(OFFERS_KEY, JSON.stringify(Object.fromEntries(state.offers)));
  } catch { /* full or forbidden: only the countdown is lost */ }
}

function keptOffers() {
  try {
    return JSON.parse(sessionStorage.getItem(OFFERS_KEY)) ?? {};
  } catch {
    return {};
  }
}

function receipt(offerId, kind, reason) {
  const key = `${offerId}:${kind}`;
  if (receipts.has(key)) return;
  receipts.add(key);
  api.post(`/v1/offers/${offerId}/receipts`, { kind, reason }).catch(() => receipts.delete(key));
}

function notify(offer) {
  if (document.visibilityState === 'visible') return;
  const body = [contactName(offer.contact), offer.contact.phone].filter(Boolean).join('\n');
  notifyCall(offer.offer_id, 'Incoming WhatsApp call', body).catch((error) => console.warn('No notification', error.message));
}
