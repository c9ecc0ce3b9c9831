// The agent's line: what the event stream says about offers and calls, and what the agent wants
// done with them. Runs in every tab; only the tab that is the phone rings and carries audio.

import { api, query } from './api.js';
import { emit, on } from './bus.js';
import { claim, claimed, unclaim } from './claim.js';
import { unlockSound } from './levels.js';
import { mic, micTrouble } from './mic.js';
import * as phone from './phone.js';
import { mark, startBell, stopBell, bellIsAudible, startRingback, stopRingback, keyTone, testBell } from './ring.js';
import { agentName, isDialling, isMineAndAlive, myCall, noteAgentStatus, noteCall, state } from './state.js';
import { mayNotify, notifyCall, unnotifyCall, whenChosen } from './notify.js';
import { adoptReadiness, makeReady, readinessView, startReadiness } from './readiness.js';
import { isLeader, tellTabs } from './tabs.js';
import { toast } from './ui/toast.js';
import { callToast } from './ui/calltoast.js';
import { contactName, words } from './ui/format.js';
import { serverNow } from './clock.js';

const OFFERS_KEY = 'tandem.offers';
/** A withdrawal that got lost must not leave a popup on the screen. */
const GRACE_MS = 4_000;

/** Offered and taken away within this time: the two events came together, out of a tab that had slept. */
const TOGETHER_MS = 500;
/** A stream opened this shortly before had been lost. */
const REOPENED_MS = 2_000;

/** Calls this agent was seen in, until their end has been told. */
const mine = new Set();
/** Receipts already sent, as `offer:kind`. */
const receipts = new Set();
/** Calls that rang here and went on to somebody else. */
const passedOn = new Set();
let openedAt = -Infinity;
/** When the agent's status was last told, so that an older answer does not take it back. */
let statusToldAt = -Infinity;

export function onEvent({ type, call_id: callId, data }) {
  switch (type) {
    case 'offer.created': return addOffer(data);
    case 'offer.withdrawn': return withdrawOffer(data);
    case 'call.dtmf': return emit('dtmf', { callId, digit: data.digit });
    case 'call.media_alarm': return emit('alarm', { callId, kind: data.kind, leg: data.leg, on: true });
    case 'call.media_recovered': return emit('alarm', { callId, kind: data.kind, leg: data.leg, on: false });
    case 'agent.status_changed': return statusChanged(data);
    case 'agent.test_ring': return testRing();
    case 'contact.updated': return emit('contact', data);
    case 'permission.requested':
    case 'permission.granted':
    case 'permission.declined':
    case 'permission.revoked':
    case 'permission.expired':
    case 'permission.limit_reset':
    case 'permission.reconsider_prompted':
    case 'permission.drift_repaired': return emit('permission', data.permission);
    case 'recording.announced':
    case 'recording.opted_out':
    case 'recording.paused':
    case 'recording.resumed':
    case 'recording.ready':
    case 'recording.deleted':
    case 'recording.failed':
      emit('recording', data);
      return lookAgain(data.call_id);
    case 'transcript.ready':
    case 'transcript.failed': return emit('transcript', data);
    case 'summary.ready':
    case 'summary.failed': return emit('summary', data);
    case 'note.added':
    case 'note.removed': return emit('note', data);
    default:
      if (type.startsWith('wallet.')) return emit('wallet', data);
      if (type.startsWith('number.')) return emit('settings', data);
      if (type.startsWith('call.') && data?.id && data.state) callChanged(data, type);
  }
}

/** The event stream stands (again). */
export function lineOpened() {
  openedAt = performance.now();
}

/** Fetches what a gap in the stream may have hidden. */
export async function resync() {
  const startedAt = performance.now();
  const me = state.agent.id;
  const [session, ongoing, ringing] = await Promise.all([
    api.get('/v1/session'),
    api.get(query('/v1/calls', { section: 'all', status: 'Ongoing', agent_id: me, limit: 20 })),
    api.get(query('/v1/calls', { section: 'all', status: 'Ringing', limit: 50 })),
  ]);
  if (session.agent && statusToldAt < startedAt) noteAgentStatus(me, session.agent.status);
  for (const call of [...ongoing.items, ...ringing.items]) callChanged(call, 'resync');
  const heard = new Set([...ongoing.items, ...ringing.items].map((call) => call.id));
  const gone = [...mine].filter((id) => !heard.has(id));
  for (const id of gone) callChanged(await api.get(`/v1/calls/${id}`), 'resync');
  reconcileOffers(ringing.items, startedAt);
  followStatus();
  emit('resync');
}

export async function setOnline(wish) {
  const me = state.agent.id;
  try {
    if (wish) {
      // Held under a name of its own: a resync in between sees an agent who is offline, and lets go of the line's.
      await mic.hold('wish');
      await makeReady();
    }
    await api.put(`/v1/agents/${me}/status`, { status: wish ? 'online' : 'offline' });
    noteAgentStatus(me, wish ? 'online' : 'offline');
    statusToldAt = performance.now();
  } finally {
    followStatus();
    mic.release('wish');
  }
}

export async function accept(offerId) {
  const offer = state.offers.get(offerId);
  if (!offer || offer.busy) return;
  setBusy(offer, 'accept');
  claim(offer.call_id);
  phone.open(offerId);
  tellTabs({ kind: 'open', offerId });
  try {
    const call = await api.post(`/v1/offers/${offerId}/accept`);
    callChanged(call, 'accepted');
    tellTabs({ kind: 'answered', call });
    emit('answered', call);
    // Only this tab's popup: the phone's tab closes its own when it has taken the leg over. While
    // WhatsApp has not confirmed yet, the popup stays and says so.
    if (isMineAndAlive(state.calls.get(call.id))) dropOffer(offerId);
  } catch (error) {
    // Refused for certain; after a lost answer the call may still be ours, and an event will say so.
    if (error.status >= 400 && error.status < 500) unclaim(offer.call_id);
    phone.shut(offerId);
    tellTabs({ kind: 'shut', offerId });
    refused(offerId, error, 'The call was not connected');
  }
}

export async function reject(offerId) {
  const offer = state.offers.get(offerId);
  if (!offer || offer.busy) return;
  setBusy(offer, 'reject');
  try {
    await api.post(`/v1/offers/${offerId}/reject`);
    removeOffer(offerId);
  } catch (error) {
    refused(offerId, error, 'The call was not rejected');
  }
}

export async function dial(contactId, numberId) {
  if (!(await mic.hold('call'))) throw new Error(micTrouble() ?? 'The microphone could not be opened.');
  try {
    const call = await api.post('/v1/calls', { number_id: numberId, to: contactId, agent_id: state.agent.id });
    claim(call.id);
    callChanged(call, 'dialled');
    if (!isLeader()) tellTabs({ kind: 'attach', callId: call.id });
    return call;
  } finally {
    if (!isLeader() || !myCall()) mic.release('call');
  }
}

/** hangup | hold | resume */
export async function command(callId, verb) {
  const call = await api.post(`/v1/calls/${callId}/${verb}`);
  if (call?.id) callChanged(call, verb);
}

export async function pauseRecording(callId, wish) {
  callChanged(await api.post(`/v1/calls/${callId}/recording`, { action: wish ? 'pause' : 'resume' }));
}

/** What was to be written down after the call is written, or was left: in every tab. */
export function wrappedUp(callId) {
  tellTabs({ kind: 'wrapped', callId });
}

let keysSent = Promise.resolve();

/** Digits keep their order, however fast the keys are pressed. */
export function sendDigit(callId, digit) {
  keyTone(digit);
  const sent = keysSent.then(() => api.post(`/v1/calls/${callId}/dtmf`, { digits: digit }));
  keysSent = sent.catch(() => {});
  return sent;
}

export function mute(wish) {
  if (isLeader()) phone.setMuted(wish);
  else tellTabs({ kind: 'mute', muted: wish });
}

/** Takes the audio of a running call into this browser. */
export function bringAudioHere(callId) {
  claim(callId);
  if (isLeader()) void phone.attach(callId, isTalking(state.calls.get(callId)));
  else tellTabs({ kind: 'attach', callId });
}

/** The popup of an offer is drawn. Behind other windows that helps nobody: there the bell or a notification counts. */
export function shown(offerId) {
  if (document.visibilityState === 'visible') receipt(offerId, 'shown');
  else if (isLeader() && mayNotify()) receipt(offerId, 'shown');
  else if (isLeader() && !bellIsAudible()) receipt(offerId, 'failed', 'autoplay_blocked');
}

/** What another tab of this agent says. */
export function onTabMessage(message) {
  if (message.kind === 'phone') phone.adoptView(message.view);
  if (message.kind === 'gone') dropOffer(message.offerId);
  if (message.kind === 'open') takenInOtherTab(message.offerId, true);
  if (message.kind === 'shut') takenInOtherTab(message.offerId, false);
  if (message.kind === 'answered') callChanged(message.call, 'accepted');
  if (message.kind === 'ready') adoptReadiness(message.view);
  if (message.kind === 'wrapped') emit('wrapped', message.callId);
  if (!isLeader()) return;
  if (message.kind === 'open') phone.open(message.offerId);
  if (message.kind === 'shut') phone.shut(message.offerId);
  if (message.kind === 'mute') phone.setMuted(message.muted);
  if (message.kind === 'hello') {
    tellTabs({ kind: 'phone', view: phone.phoneView() });
    tellTabs({ kind: 'ready', view: readinessView() });
  }
  if (message.kind === 'attach') void phone.attach(message.callId, isTalking(state.calls.get(message.callId)));
}

/** This tab has become the phone: ring what rings, carry what runs. */
export function onLead() {
  followStatus();
  for (const offerId of state.offers.keys()) ring(offerId);
  const call = myCall();
  if (call) carry(call);
  emit('readiness');
  startReadiness();
}

export function closeLine() {
  stopBell();
  stopRingback();
  phone.shutDown();
  mic.release('line');
  mine.clear();
  passedOn.clear();
  receipts.clear();
}

whenChosen((offerId, choice) => {
  if (!isLeader()) return;
  if (choice === 'accept') void accept(offerId);
  if (choice === 'reject') void reject(offerId);
});
on('mic', (track) => phone.useMicrophone(track));
on('readiness', () => {
  if (!bellIsAudible()) return;
  for (const offerId of state.offers.keys()) receipt(offerId, 'audible');
});

// ---- offers ----

function addOffer(offer) {
  const id = offer.offer_id;
  if (state.offers.has(id)) return;
  state.offers.set(id, { ...offer, receivedAt: performance.now(), offeredAt: offer.offeredAt ?? serverNow(), busy: null });
  keepOffers();
  ring(id);
  expire(id, offer.expires_at);
  emit('offers');
}

function ring(offerId) {
  if (!isLeader()) return;
  void phone.warmUp(offerId);
  if (!myCall()) startBell();
  if (bellIsAudible()) receipt(offerId, 'audible');
  notify(state.offers.get(offerId));
}

function withdrawOffer({ offer_id: id, reason }) {
  const offer = state.offers.get(id);
  if (!offer) return;
  if (reason === 'not_shown' && isLeader()) receipt(id, 'failed', whyNotShown(offer));
  // Accepted in this browser: the leg is needed, and the answer to the click decides.
  if (offer.busy === 'accept' || claimed(offer.call_id)) return;
  removeOffer(id);
  if (offer.busy === 'reject') return;
  if (['ring_timeout', 'not_shown', 'rejected'].includes(reason)) passedOn.add(offer.call_id);
  const name = contactName(offer.contact);
  const text = words.withdrawn(reason);
  if (text) toast({ title: name, text, tone: 'warn', href: `/calls/${offer.call_id}`, hrefText: 'Open call' });
}

/** It was not missed for nothing: whoever looks after the consoles finds the cause in the call's offers. */
function whyNotShown(offer) {
  if (performance.now() - openedAt < REOPENED_MS) return 'socket_dead';
  if (performance.now() - offer.receivedAt < TOGETHER_MS) return 'tab_asleep';
  return document.visibilityState === 'visible' || bellIsAudible() ? 'socket_dead' : 'autoplay_blocked';
}

function removeOffer(id) {
  tellTabs({ kind: 'gone', offerId: id });
  dropOffer(id);
}

function dropOffer(id) {
  if (!state.offers.delete(id)) return;
  keepOffers();
  phone.cool(id);
  unnotifyCall(id);
  if (state.offers.size === 0) stopBell();
  emit('offers');
}

function refused(offerId, error, title) {
  const offer = state.offers.get(offerId);
  if (error.code === 'offer_not_pending' || error.status === 404) removeOffer(offerId);
  else if (offer) setBusy(offer, null);
  toast({ title, text: error.message, tone: 'stop' });
}

function setBusy(offer, busy) {
  offer.busy = busy;
  offer.busySince = performance.now();
  if (busy) stopBell();
  else if (isLeader()) startBell();
  emit('offers');
}

/** Accept was pressed in another tab: quiet and out of sight here at once, and back should it be refused. */
function takenInOtherTab(id, taken) {
  const offer = state.offers.get(id);
  if (!offer) return;
  offer.elsewhere = taken;
  if (taken) stopBell();
  else if (isLeader()) startBell();
  emit('offers');
}

function expire(id, expiresAt) {
  if (!expiresAt) return;
  const left = Date.parse(expiresAt) - serverNow() + GRACE_MS;
  setTimeout(() => {
    if (state.offers.get(id)?.busy !== 'accept') dropOffer(id);
  }, Math.max(left, GRACE_MS));
}

function reconcileOffers(ringing, startedAt) {
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
  for (const [id, { call, offer }] of pending) {
    addOffer(kept[id] ?? {
      offer_id: id, call_id: call.id, number_id: call.number_id, contact: call.contact,
      reason: null, expires_at: null, offeredAt: Date.parse(offer.offered_at),
    });
  }
}

/** A reload forgets why an offer came and when it moves on; the list of calls does not say. */
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

function testRing() {
  if (isLeader() && !myCall()) testBell();
  emit('test-ring');
}

function notify(offer) {
  if (document.visibilityState === 'visible') return;
  const body = [contactName(offer.contact), offer.contact.phone].filter(Boolean).join('\n');
  notifyCall(offer.offer_id, 'Incoming WhatsApp call', body).catch((error) => console.warn('No notification', error.message));
}

// ---- calls ----

function callChanged(call, why) {
  noteCall(call);
  const now = state.calls.get(call.id);
  if (now.answered_at && passedOn.delete(now.id) && now.agent_id !== state.agent.id) {
    toast({ title: contactName(now.contact), text: `Answered by ${state.agents.has(now.agent_id) ? agentName(now.agent_id) : 'another agent'}.`, href: `/calls/${now.id}`, hrefText: 'Open call' });
  }
  if (isMineAndAlive(now)) {
    mine.add(now.id);
    carry(now, why);
    if (isTalking(now) && why.startsWith('call.')) lookAgainSoon(now.id);
  } else if (now.state === 'ended' || now.state === 'wrap_up') {
    over(now);
  }
  const dialled = myCall();
  if (isLeader() && dialled && isDialling(dialled) && dialled.state === 'ringing') startRingback();
  else stopRingback();
}

/** Sees to it that a living call of ours has audio, here or knowingly elsewhere. */
function carry(call, why) {
  const offer = [...state.offers.values()].find((each) => each.call_id === call.id);
  if (!isLeader()) {
    if (offer) dropOffer(offer.offer_id);
    return;
  }
  if (why === 'call.agent_attached' && takenElsewhere(call)) {
    unclaim(call.id);
    phone.hangUp();
    return;
  }
  if (phone.carries(call.id)) {
    if (isTalking(call)) phone.allow(call.id);
  } else if (claimed(call.id)) {
    const joined = offer && phone.takeOver(offer.offer_id, call.id);
    if (!joined) void phone.attach(call.id, isTalking(call));
    if (why !== 'resync' && isTalking(call)) mark('joined');
  }
  if (!offer) return;
  if (!claimed(call.id)) toast({ title: contactName(call.contact), text: 'Answered by you on another device.' });
  removeOffer(offer.offer_id);
}

/** The gateway joined an agent leg that is not ours, and ours is not fresh: another device has it. */
function takenElsewhere(call) {
  const ours = phone.leg();
  if (!ours?.id || ours.ageMs < 3_000 || !phone.carries(call.id)) return false;
  const legs = (call.legs ?? []).filter((leg) => leg.kind === 'agent');
  return legs.length > 0 && !legs.some((leg) => leg.id === ours.id);
}

function over(call) {
  for (const offer of [...state.offers.values()]) {
    if (offer.call_id === call.id) dropOffer(offer.offer_id);
  }
  if (phone.carries(call.id)) {
    phone.hangUp();
    mark('over');
  }
  if (call.state !== 'ended') return;
  passedOn.delete(call.id);
  unclaim(call.id);
  if (!mine.delete(call.id)) return;
  emit('over', call);
  callToast(call);
}

/** Recorder and recogniser begin a moment after the answer, and no event tells. */
const BEGUN_MS = 1_500;

function lookAgainSoon(callId) {
  void lookAgain(callId);
  setTimeout(() => lookAgain(callId), BEGUN_MS);
}

/** Fetches what events leave out of a call that runs: its recording, its consent, its transcript. */
async function lookAgain(callId) {
  if (!mine.has(callId)) return;
  try {
    noteCall(await api.get(`/v1/calls/${callId}`));
  } catch { /* the next event, or the next resync */ }
}

function isTalking(call) {
  return ['answering', 'active', 'held'].includes(call?.state);
}

function statusChanged({ agent_id: agentId, status }) {
  const before = state.agent.status;
  noteAgentStatus(agentId, status);
  if (agentId === state.agent.id) statusToldAt = performance.now();
  if (agentId !== state.agent.id || before === status) return;
  followStatus();
}

/** Online means: this browser's phone has its microphone open. */
function followStatus() {
  if (!state.agent) return;
  if (state.agent.status === 'online' && isLeader()) void mic.hold('line').then(unlockSound);
  else mic.release('line');
  emit('readiness');
}
