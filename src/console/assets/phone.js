// The phone: which audio leg is the agent's, what it may send, where it is heard. Lives in the one
// tab that holds the lock; the other tabs show its `view` and send it wishes through line.js.

import { emit } from './bus.js';
import { LevelTap } from './levels.js';
import { mic, micTrouble } from './mic.js';
import { Peer } from './peer.js';
import { prefs } from './prefs.js';
import { watchQuality } from './quality.js';
import { isLeader, tellTabs } from './tabs.js';

/** A lost path often comes back by itself (Wi-Fi roaming); after this we build a new one. */
const LOST_MS_MAX = 2_500;
/** Waits before each new try; then a button is offered. */
const REATTACH_MS = [500, 1_500, 3_000];

const IDLE = { callId: null, phase: 'idle', muted: false, quality: null, trouble: null };

/** How often the other tabs are told how loud it is: fast enough for a needle. */
const LEVELS_EVERY_MS = 100;
const SILENT = { mic: 0, voice: 0, far: 0 };

/** The call in which this browser is muted: a reload, or another tab that becomes the phone, must not unmute anybody. */
const MUTED = 'tandem.muted';

const SILENCED = 'The browser holds the sound back. Click anywhere to hear the customer.';

/** Legs built while their offers ring, by offer id. */
const warm = new Map();
/** The leg in use: { callId, peer, tries, attachedAt, allowed } */
let current = null;
/** The call whose leg waits for the microphone: { callId, allowed }. */
let attaching = null;
let muted = false;
let view = IDLE;
let farTap = null;
let endQuality = null;
/** What the tab that is the phone told last. */
let told = SILENT;
let telling = null;

/** What panels show: phase is idle | connecting | connected | lost | failed. Same in every tab. */
export function phoneView() {
  return view;
}

/** Another tab's phone speaks. */
export function adoptView(told) {
  if (isLeader()) return;
  view = told;
  emit('phone');
}

export function currentPeer() {
  const peer = current?.peer ?? warm.values().next().value;
  return peer?.connection ?? null;
}

export function levels() {
  if (!isLeader()) return view.callId === null ? SILENT : told;
  return { mic: muted ? 0 : mic.level(), voice: mic.level(), far: farTap?.level() ?? 0 };
}

/** Another tab's phone tells how loud it is. */
export function adoptLevels(heard) {
  told = heard;
}

/** Builds the leg of an offer while it rings, so that Accept only has to open the gate. */
export async function warmUp(offerId) {
  if (!isLeader() || warm.has(offerId)) return;
  warm.set(offerId, null); // taken, while the microphone opens
  await mic.hold('call');
  if (!warm.has(offerId)) {
    releaseMic();
    return;
  }
  const peer = newPeer();
  warm.set(offerId, peer);
  try {
    await peer.open(`/v1/offers/${encodeURIComponent(offerId)}/media`);
  } catch { /* told by warmTrouble; Accept tries again on the call itself */ }
  emit('offers');
}

/** What keeps an offer's audio from being ready, in words, or null. */
export function warmTrouble(offerId) {
  if (!isLeader()) return null;
  const blocked = micTrouble();
  if (blocked) return `The caller would not hear you. ${blocked}`;
  const peer = warm.get(offerId);
  return peer?.phase === 'failed' ? `Audio is not prepared: ${peer.trouble} Accept tries again.` : null;
}

/** Accept was pressed: the microphone may be heard from this instant. */
export function open(offerId) {
  warm.get(offerId)?.speak(!muted);
}

/** Accept was refused: silence again. */
export function shut(offerId) {
  warm.get(offerId)?.speak(false);
}

/** The offer is gone. */
export function cool(offerId) {
  const peer = warm.get(offerId);
  warm.delete(offerId);
  if (peer && current === null && remoteAudio().srcObject === peer.remote) stopListening();
  peer?.close();
  releaseMic();
}

/** The offer became our call: its leg is the phone's now. False when there is no usable leg. */
export function takeOver(offerId, callId) {
  const peer = warm.get(offerId);
  warm.delete(offerId);
  if (!peer || peer.phase === 'failed' || peer.phase === 'closed') {
    peer?.close();
    return false;
  }
  use(callId, peer, true);
  return true;
}

/** Builds a leg for a running call: dialled by us, or met again after a reload. */
export async function attach(callId, allowed) {
  if (!isLeader()) return;
  const tries = current?.callId === callId ? current.tries : 0;
  muted ||= mutedCall() === callId;
  const wish = { callId, allowed };
  attaching = wish;
  if (current?.callId !== callId) show({ ...IDLE, callId, phase: 'connecting', muted });
  await mic.hold('call');
  if (attaching !== wish) {
    releaseMic(); // ended, or asked for again, meanwhile
    return;
  }
  const peer = newPeer();
  use(callId, peer, wish.allowed, tries);
  try {
    await peer.open(`/v1/calls/${encodeURIComponent(callId)}/media`);
  } catch { /* peerChanged has seen it */ }
}

/** The customer has answered a call we dialled. */
export function allow(callId) {
  if (attaching?.callId === callId) attaching.allowed = true; // answered before the leg was built
  if (current?.callId !== callId || current.allowed) return;
  current.allowed = true;
  current.peer.speak(!muted);
}

/** Whether this tab carries the call's audio, or is about to. */
export function carries(callId) {
  return current?.callId === callId || attaching?.callId === callId;
}

/** Our leg's id, and how long ago it was made; for telling whether another device took over. */
export function leg() {
  return current && { id: current.peer.legId, ageMs: performance.now() - current.attachedAt, phase: current.peer.phase };
}

export function setMuted(wish) {
  muted = wish;
  try {
    if (muted && current) localStorage.setItem(MUTED, current.callId);
    else localStorage.removeItem(MUTED);
  } catch { /* nothing can be kept here */ }
  if (current) current.peer.speak(current.allowed && !muted);
  show({ ...view, muted });
}

function mutedCall() {
  try {
    return localStorage.getItem(MUTED);
  } catch {
    return null;
  }
}

/** The call is over, or its audio moved elsewhere. */
export function hangUp() {
  const old = current;
  current = null;
  attaching = null;
  muted = false;
  clearInterval(telling);
  telling = null;
  old?.peer.close();
  stopListening();
  releaseMic();
  show(IDLE);
}

/** The tab goes away. */
export function shutDown() {
  for (const offerId of [...warm.keys()]) cool(offerId);
  hangUp();
}

function newPeer() {
  const peer = new Peer(mic.track()?.clone() ?? null, () => peerChanged(peer));
  return peer;
}

function use(callId, peer, allowed, tries = 0) {
  const old = current?.peer;
  attaching = null;
  current = { callId, peer, tries, attachedAt: performance.now(), allowed };
  if (old && old !== peer) old.close();
  stopListening(peer);
  peer.speak(allowed && !muted);
  telling ??= setInterval(() => tellTabs({ kind: 'levels', levels: levels() }), LEVELS_EVERY_MS);
  endQuality = watchQuality(peer.connection, (quality) => show({ ...view, quality }));
  show({ callId, phase: 'connecting', muted, quality: null, trouble: null });
  peerChanged(peer);
}

function peerChanged(peer) {
  if (current?.peer !== peer) {
    const usable = peer.phase === 'opening' || peer.phase === 'connected';
    if (current === null && usable) listen(peer, true); // the player is warm, too, when Accept is pressed
    if (peer.phase === 'failed') emit('offers'); // the popup says so
    return;
  }
  listen(peer, false);
  if (peer.phase === 'connected') {
    current.tries = 0;
    show({ ...view, phase: 'connected', trouble: peer.hasTrack ? null : micTrouble() });
  } else if (peer.phase === 'lost') {
    show({ ...view, phase: 'lost' });
    setTimeout(() => {
      if (current?.peer === peer && peer.phase === 'lost') again(peer);
    }, LOST_MS_MAX);
  } else if (peer.phase === 'failed') {
    again(peer);
  }
}

function again(peer) {
  const wait = REATTACH_MS[current.tries];
  if (wait === undefined) {
    show({ ...view, phase: 'failed', trouble: peer.trouble ?? 'The audio connection to the gateway broke.' });
    return;
  }
  current.tries += 1;
  show({ ...view, phase: 'lost', quality: null });
  const { callId, allowed } = current;
  setTimeout(() => {
    if (current?.peer === peer) void attach(callId, allowed);
  }, wait);
}

/** The gateway is back: what was given up is tried again. */
export function tryAgain() {
  if (!current || view.phase !== 'failed') return;
  current.tries = 0;
  again(current.peer);
}

function listen(peer, silently) {
  if (!peer.remote) return;
  const out = remoteAudio();
  const changed = out.srcObject !== peer.remote || out.muted !== silently;
  if (!changed) return;
  out.muted = silently;
  if (out.srcObject === peer.remote) {
    playRemote();
    return;
  }
  out.srcObject = peer.remote;
  if (prefs.speaker && out.setSinkId) out.setSinkId(prefs.speaker).catch(() => { /* unplugged: the system's choice */ });
  farTap?.close();
  farTap = new LevelTap(peer.remote);
  playRemote();
}

/** Also called after a click, when the browser had refused to play before one. */
export function playRemote() {
  const out = remoteAudio();
  if (!out.srcObject) return;
  out.play().then(
    () => { if (view.trouble === SILENCED) show({ ...view, trouble: null }); },
    (error) => { if (error.name === 'NotAllowedError') show({ ...view, trouble: SILENCED }); },
  );
}

/** `except`: the leg that goes on, so that its sound is not interrupted. */
function stopListening(except) {
  endQuality?.();
  endQuality = null;
  if (except?.remote && remoteAudio().srcObject === except.remote) return;
  farTap?.close();
  farTap = null;
  remoteAudio().srcObject = null;
}

function remoteAudio() {
  return document.getElementById('remote-audio');
}

function releaseMic() {
  if (current === null && attaching === null && warm.size === 0) mic.release('call');
}

function show(next) {
  view = next;
  tellTabs({ kind: 'phone', view });
  emit('phone');
}

/** A headset was changed, or the person chose another microphone: every leg gets the new one. */
export function useMicrophone(track) {
  const peers = [...warm.values(), current?.peer].filter((peer) => peer && peer.phase !== 'closed');
  for (const peer of peers) void peer.useTrack(track.clone());
}

export function useSpeaker(deviceId) {
  const out = remoteAudio();
  return out.setSinkId ? out.setSinkId(deviceId) : Promise.resolve();
}
