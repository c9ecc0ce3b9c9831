// The agent's line: what the event stream says, the agent's calls, and what the agent wants done with them. Runs in every
// tab; only the tab that is the phone carries audio.

import { api, query } from './api.js';
import { emit, on } from './bus.js';
import { claim, claimed, unclaim } from './claim.js';
import { unlockSound } from './levels.js';
import { mic, micTrouble } from './mic.js';
import { acceptedSomewhere, addOffer, dropOffer, forgetOffers, offerOf, rangHere, reconcileOffers, refused, removeOffer, ring, setBusy, takenInOtherTab, withdrawOffer } from './offers.js';
import * as phone from './phone.js';
import { adoptReadiness, makeReady, readinessView, startReadiness } from './readiness.js';
import { keyTone, mark, startRingback, stopRingback, testBell } from './ring.js';
import { adoptSession, agentName, isDialling, isMineAndAlive, isTalking, myCall, noteAgent, noteAgentStatus, noteCall, noteColleague, noteFormer, state } from './state.js';
import { isLeader, tellTabs } from './tabs.js';
import { callToast } from './ui/calltoast.js';
import { contactName } from './ui/format.js';
import { toast } from './ui/toast.js';

/** Calls this agent was seen in, until their end has been told. */
const mine = new Set();
/** When the agent's status was last told, so that an older answer does not take it back. */
let statusToldAt = -Infinity;

export function onEvent({ type, call_id: callId, data }) {
  switch (type) {
    case 'offer.created': return addOffer(data);
    case 'offer.withdrawn': return withdrawOffer(data);
    case 'offer.accepted': return acceptedSomewhere(data);
    case 'agent.passed_over':
      noteColleague(data.agent_id, { passed_over: data.passed_over });
      return passedOver(data);
    case 'agent.wrap_up_changed': return noteColleague(data.agent_id, { wrap_up_until: data.wrap_up_until });
    case 'message.sent':
    case 'message.failed': return messageTold(type, data);
    case 'call.dtmf': return emit('dtmf', { callId, digit: data.digit });
    case 'call.media_alarm': return emit('alarm', { callId, kind: data.kind, leg: data.leg, on: true });
    case 'call.media_recovered': return emit('alarm', { callId, kind: data.kind, leg: data.leg, on: false });
    case 'agent.status_changed': return statusChanged(data);
    case 'agent.readiness_changed':
      noteColleague(data.agent_id, { readiness: data.readiness });
      return emit('people', data);
    case 'agent.updated': return agentUpdated(data);
    case 'agent.left':
      noteFormer(data);
      return emit('people', data);
    case 'team.updated':
    case 'team.deleted': return emit('people', data);
    case 'agent.test_ring': return testRing();
    case 'agent.push_subscriptions_changed': return emit('pushes');
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
  if (session.agent) whoIAm(session);
  for (const call of [...ongoing.items, ...ringing.items]) callChanged(call, 'resync');
  const heard = new Set([...ongoing.items, ...ringing.items].map((call) => call.id));
  const gone = [...mine].filter((id) => !heard.has(id));
  for (const id of gone) callChanged(await api.get(`/v1/calls/${id}`), 'resync');
  await reconcileOffers(ringing.items, startedAt);
  phone.tryAgain();
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
  callChanged(await api.post(`/v1/calls/${callId}/recording`, { action: wish ? 'pause' : 'resume' }), 'recording');
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

/** What another tab of this agent says. */
export function onTabMessage(message) {
  if (message.kind === 'phone') phone.adoptView(message.view);
  if (message.kind === 'levels') phone.adoptLevels(message.levels);
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
  forgetOffers();
  stopRingback();
  phone.shutDown();
  mic.release('line');
  mine.clear();
}

on('mic', (track) => phone.useMicrophone(track));

function callChanged(call, why) {
  noteCall(call);
  const now = state.calls.get(call.id);
  if (now.answered_at && rangHere(now.id) && now.agent_id !== state.agent.id) {
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
  const offer = offerOf(call.id);
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
  const offer = offerOf(call.id);
  if (offer) dropOffer(offer.offer_id);
  if (phone.carries(call.id)) {
    phone.hangUp();
    mark('over');
  }
  if (call.state !== 'ended') return;
  rangHere(call.id);
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

function testRing() {
  if (isLeader() && !myCall()) testBell();
  emit('test-ring');
}

function agentUpdated(agent) {
  noteAgent(agent);
  emit('people', agent);
  if (agent.id === state.agent.id) api.get('/v1/session').then((session) => session.agent && state.agent && whoIAm(session), () => {}); // else the next resync asks
}

/** Somebody may have changed this agent's name, role, team or switches meanwhile. */
function whoIAm(session) {
  const changed = adoptSession(session);
  emit('agent');
  if (changed) emit('rights');
}

function passedOver({ agent_id: agentId, passed_over: passed }) {
  if (agentId !== state.agent.id) return;
  state.agent = { ...state.agent, passed_over: passed };
  emit('passed', passed);
  emit('agent');
}

function messageTold(type, { by, text, why }) {
  if (by?.agent_id !== state.agent.id || !isLeader()) return;
  if (type === 'message.sent') toast({ title: 'Sent to the customer', text, tone: 'go' });
  else toast({ title: 'The customer was not written to', text: why, tone: 'stop' });
}

function statusChanged({ agent_id: agentId, status }) {
  const before = state.agent.status;
  noteAgentStatus(agentId, status);
  emit('people', null);
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
