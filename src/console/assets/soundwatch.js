// What is wrong with a call's sound, and what the person can do about it, in one sentence. The
// gateway hears both sides and tells by events; this browser adds what only it can see.

import { isDialling } from './state.js';

/** Audio that is set up within this time needs no comment. */
const PATIENCE_MS = 1_000;
/** After this much of it, waiting alone will hardly help. */
const LONG_MS = 6_000;
/** Looks of the quality watch in a row (2 s each) that make silence a fault, and the time in a state after which they
    cannot stem from the one before: a held call is silent by intention. */
const EMPTY_LOOKS = 2;
const SETTLED_MS = 6_000;

/**
 * `{ tone, text, action: 'bring' | 'reconnect' | 'unmute' | undefined }`, or null while all is well.
 * `cutOff`: neither events nor sound come from the gateway; `waitedMs`: since the call reached its state; `alarms`:
 * sentences of the gateway's that stand, newest last.
 */
export function soundTrouble({ call, view, here, cutOff, waitedMs, alarms, talksMuted, micProblem }) {
  const talking = call.state === 'active' || call.state === 'held';
  const patient = waitedMs < PATIENCE_MS;
  if (talking && !here) {
    return patient ? null : { tone: 'warn', text: 'This call’s sound is not in this browser.', action: 'bring' };
  }
  if (cutOff) return { tone: 'stop', text: 'This browser has lost the gateway: no sound goes either way. It tries again by itself.' };
  if (here && view.trouble) {
    return { tone: 'stop', text: view.trouble, action: view.phase === 'failed' ? 'reconnect' : undefined };
  }
  if (here && view.phase === 'lost') {
    return { tone: 'warn', text: 'Your audio connection broke. The customer hears hold sound while it is rebuilt…' };
  }
  if (here && micProblem) return { tone: 'stop', text: micProblem };
  if (!patient) {
    const waiting = waitingWords(call, view, here, waitedMs);
    if (waiting) return { tone: 'warn', text: waiting };
  }
  if (alarms.length > 0) return { tone: 'stop', text: alarms.at(-1) };
  if (call.state === 'active' && here && view.phase === 'connected' && waitedMs > SETTLED_MS) {
    const { emptyIn = 0, emptyOut = 0 } = view.quality ?? {};
    if (emptyOut >= EMPTY_LOOKS) {
      return { tone: 'stop', text: 'The customer cannot hear you: this browser sends no sound. Check the microphone under Devices, or reconnect the sound.', action: 'reconnect' };
    }
    if (emptyIn >= EMPTY_LOOKS) {
      return { tone: 'stop', text: 'You cannot hear the customer: no sound comes from the gateway. Check your network or VPN, or reconnect the sound.', action: 'reconnect' };
    }
  }
  if (talksMuted) return { tone: 'warn', text: 'You are muted: the customer does not hear you.', action: 'unmute' };
  return null;
}

/** What a call waits for that has taken longer than people expect. */
function waitingWords(call, view, here, waitedMs) {
  if (call.state === 'answering') return 'Connecting… WhatsApp has not confirmed the answer yet.';
  if (isDialling(call) && call.state !== 'ringing') return 'Dialling… WhatsApp has not told yet that the customer’s phone rings.';
  if (!here || view.phase !== 'connecting' || isDialling(call)) return null;
  return waitedMs < LONG_MS
    ? 'Connecting the sound… The path between this browser and the gateway is being opened.'
    : 'The sound is still not connected. A firewall or VPN may block UDP to the gateway; another network may help.';
}
