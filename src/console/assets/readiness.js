// Whether this browser could take a call now: looked at before the agent goes online and every
// minute after, told to the gateway, shown as one light. Looked at by the tab that is the phone.

import { api } from './api.js';
import { emit, on } from './bus.js';
import { serverNow } from './clock.js';
import { audioContext, soundUnlocked, unlockSound } from './levels.js';
import { mic, micTrouble } from './mic.js';
import { phoneView, useSpeaker } from './phone.js';
import { prefs, setPref } from './prefs.js';
import { probeMedia } from './probe.js';
import { myCall, state } from './state.js';
import { isLeader, tellTabs } from './tabs.js';

const EVERY_MS = 60_000;
/** Several changes come together when a headset is plugged in. */
const GATHER_MS = 300;
/** A sound device that plays moves its clock well within this time. */
const CLOCK_MS = 250;

const NOT_YET = { result: 'unknown', text: 'Not looked at yet' };
const NOTHING = { checks: { microphone: NOT_YET, speaker: NOT_YET, notifications: NOT_YET, sound: NOT_YET, media: NOT_YET }, roundTripMs: null, checkedAt: null, running: false };

export const CHECKS = { microphone: 'Microphone', speaker: 'Speaker', sound: 'Bell', notifications: 'Notifications', media: 'Sound to the gateway' };

/** What a button beside a failed check does. */
export const MENDS = {
  microphone: ['Allow microphone', () => look({ ask: true })],
  notifications: ['Allow notifications', () => look({ ask: true })],
  sound: ['Unlock sound', async () => { await unlockSound(); await look(); }],
  volume: ['Turn the bell up', async () => { setPref('ringVolume', 0.7); await look(); }],
  speaker: ['Use the system’s speaker', async () => { setPref('speaker', ''); await useSpeaker('').catch(() => {}); await look(); }],
  again: ['Try again', () => look({ ask: true })],
};

let view = NOTHING;
let looking = null;
let closers = [];

export function readinessView() {
  return view;
}

/** Another tab has looked. */
export function adoptReadiness(told) {
  if (isLeader() && view.checkedAt !== null) return;
  view = told;
  emit('ready');
}

/** Called when this tab becomes the phone. */
export function startReadiness() {
  if (closers.length > 0) return;
  const timer = setInterval(lookAlone, EVERY_MS);
  let gathered = null;
  const soon = () => {
    clearTimeout(gathered);
    gathered = setTimeout(lookAlone, GATHER_MS, { cheap: true });
  };
  // Reloaded while it rang: looked at when it rings no more.
  const atLast = () => {
    if (view.checkedAt === null) lookAlone();
  };
  closers = [on('readiness', soon), on('offers', atLast), on('link', () => { if (state.link === 'live') lookAlone(); }),
    () => clearInterval(timer), () => clearTimeout(gathered)];
  lookAlone();
}

/** Something speaks against what was found: looks anew, and tells, when it rings no more. */
export function lookSoon() {
  lookAlone();
}

export function stopReadiness() {
  closers.splice(0).forEach((close) => close());
  view = NOTHING;
}

/** Looks at everything; with `ask`, from a click, the browser may ask the person. */
export async function look({ ask = false, cheap = false } = {}) {
  while (looking !== null) await looking;
  looking = lookOnce(ask, cheap);
  try {
    await looking;
  } finally {
    looking = null;
  }
}

/** Before going online: looks at everything, and refuses with a sentence that says what to do. */
export async function makeReady() {
  await look({ ask: true });
  const wrong = firstWrong();
  if (wrong) throw new Error(wrong.text);
}

/** What stands in the way of calls, or null. */
export function firstWrong() {
  return Object.entries(view.checks).find(([name, { result }]) => result === 'failed' || (result === 'unknown' && name !== 'notifications'))?.[1] ?? null;
}

/** One light and one sentence: `{ tone, text, mend? }`. */
export function light() {
  const online = state.agent?.status === 'online';
  if (state.link === 'down') return { tone: 'stop', text: 'No connection to the gateway' };
  if (mic.condition() === 'asking') return { tone: 'warn', text: 'Allow the microphone in the browser’s question' };
  if (view.checkedAt === null) return { tone: 'warn', text: 'Looking whether calls can reach you…' };
  const failed = Object.values(view.checks).find(({ result }) => result === 'failed');
  if (failed) return { tone: online ? 'stop' : 'warn', text: failed.text, mend: MENDS[failed.mend] };
  if (online && state.agent.passed_over) return { tone: 'stop', text: 'Calls go to others', mend: MENDS.again };
  if (!online) return { tone: '', text: firstWrong() ? 'Offline. The browser asks for the microphone when you go online' : 'Ready. Offline: no calls are offered to you' };
  if (myCall()) return { tone: 'info', text: 'In a call: no other call rings' };
  if (Date.parse(state.agents.get(state.agent.id)?.wrap_up_until ?? '') > serverNow()) return { tone: 'info', text: 'Writing up: calls come again after it' };
  return { tone: 'go', text: isLeader() ? 'Ready for calls' : 'Ready. Rings in another tab' };
}

function lookAlone(how) {
  // An offer or a call needs the devices now, and proves them better than a look does.
  if (!isLeader() || !state.agent || state.offers.size > 0 || (looking !== null && !how?.cheap)) return;
  look(how).catch((error) => console.warn('Readiness could not be told', error.message));
}

async function lookOnce(ask, cheap) {
  const me = state.agent.id;
  const before = view.checks;
  if (!cheap) show({ ...view, running: true });
  // What may ask the person comes first: the browser forgets their click after some seconds.
  const notifications = await lookAtNotifications(ask);
  const microphone = await lookAtMicrophone(ask);
  if (ask) await unlockSound();
  const sound = lookAtSound();
  const speaker = await lookAtSpeaker();
  const probed = cheap ? { check: before.media, roundTripMs: view.roundTripMs } : await lookAtMedia();
  if (ask) mic.release('check');
  if (state.agent?.id !== me) return; // signed out meanwhile
  const checks = { microphone, speaker, notifications, sound, media: probed.check };
  const same = Object.entries(checks).every(([name, { result, text }]) => before[name].result === result && before[name].text === text);
  if (cheap && same) return;
  show({ checks, roundTripMs: probed.roundTripMs, checkedAt: cheap ? view.checkedAt : Date.now(), running: false });
  if (view.checkedAt === null) return; // the first whole look is under way
  const results = Object.fromEntries(Object.entries(checks).map(([name, { result }]) => [name, result]));
  await api.put(`/v1/agents/${encodeURIComponent(me)}/readiness`, { ...results, round_trip_ms: probed.roundTripMs });
}

function show(next) {
  view = next;
  tellTabs({ kind: 'ready', view });
  emit('ready');
}

async function lookAtMicrophone(ask) {
  if (ask) await mic.hold('check');
  const track = mic.track();
  if (track?.readyState === 'live') {
    if (track.muted) return failed('The microphone gives no sound: it is muted by the system or at the headset.', 'again');
    return passed(`Open: ${track.label || 'the system’s microphone'}`);
  }
  const trouble = micTrouble();
  if (trouble) return failed(trouble, 'microphone');
  const allowed = await permission('microphone');
  if (allowed === 'denied') return failed('The browser refuses the microphone. Allow it in the address bar (lock sign).', 'again');
  if (allowed !== 'granted') return { result: 'unknown', text: 'The browser has not been asked for the microphone yet', mend: 'microphone' };
  const devices = await navigator.mediaDevices.enumerateDevices();
  if (!devices.some(({ kind }) => kind === 'audioinput')) return failed('No microphone found. Plug in a headset.', 'again');
  return passed('Allowed; it opens when you go online');
}

async function lookAtSpeaker() {
  // A browser that lets nobody choose an output lists none either.
  if ('setSinkId' in HTMLMediaElement.prototype) {
    const outputs = (await navigator.mediaDevices?.enumerateDevices() ?? []).filter(({ kind }) => kind === 'audiooutput');
    if (outputs.length === 0) return failed('No speaker found. Plug in a headset.', 'again');
    const known = outputs.some(({ deviceId }) => deviceId !== '');
    if (prefs.speaker && known && !outputs.some(({ deviceId }) => deviceId === prefs.speaker)) return failed('The speaker you chose is gone. Plug it in again, or hear the customer on the system’s speaker.', 'speaker');
  }
  if (!soundUnlocked()) return { result: 'unknown', text: 'Looked at once sound is unlocked', mend: 'sound' };
  const began = audioContext().currentTime;
  await new Promise((resolve) => setTimeout(resolve, CLOCK_MS));
  if (audioContext().currentTime === began) return failed('The sound device does not play. Choose another speaker in the system’s settings.', 'again');
  return passed('Plays');
}

function lookAtSound() {
  if (!soundUnlocked()) return failed('The browser holds sound back until you click.', 'sound');
  if (prefs.ringVolume === 0) return failed('The bell is turned down to nothing.', 'volume');
  return passed('Rings aloud');
}

async function lookAtNotifications(ask) {
  if (!('Notification' in globalThis)) return { result: 'unknown', text: 'This browser has none: keep the window in sight' };
  if (ask && Notification.permission === 'default') await Notification.requestPermission();
  if (Notification.permission === 'granted') return passed('A call is shown when this window is hidden');
  if (Notification.permission === 'denied') return failed('The browser refuses notifications, so a call is not seen when this window is hidden. Allow them in the address bar (lock sign).', 'again');
  return failed('Notifications are not allowed yet: a call would not be seen when this window is hidden.', 'notifications');
}

async function lookAtMedia() {
  if (phoneView().phase === 'connected') return { check: passed('Your call’s own sound goes through'), roundTripMs: view.roundTripMs };
  const { roundTripMs, trouble } = await probeMedia(state.agent.id);
  if (trouble) return { check: failed(trouble, 'again'), roundTripMs: null };
  return { check: passed(`Goes there and back in ${roundTripMs} ms`), roundTripMs };
}

function passed(text) {
  return { result: 'passed', text };
}

function failed(text, mend) {
  return { result: 'failed', text, mend };
}

/** granted | denied | prompt, or null where the browser does not say. */
async function permission(name) {
  try {
    return (await navigator.permissions.query({ name })).state;
  } catch {
    return null;
  }
}
