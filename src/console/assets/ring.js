// Every sound of the console, made with Web Audio, so that no file has to be loaded: the bell,
// the ringback while dialling, keypad tones, and the small marks at answer and end.

import { audioContext, soundUnlocked } from './levels.js';
import { prefs } from './prefs.js';
import { bellOut } from './ringout.js';

/** A rising figure, twice, then a rest: heard in a loud room, bearable in a quiet one. */
const BELL = { everyMs: 2_600, notes: [[0, 659.3], [0.13, 830.6], [0.26, 987.8], [0.62, 659.3], [0.75, 830.6], [0.88, 987.8]] };
/** The first bell is soft and each one louder, up to the chosen volume. */
const BELL_RISE = [0.45, 0.65, 0.85, 1];
/** Beside a call in progress the bell is a hint, and drowns nobody. */
const DUCKED = 0.18;
/** Milliseconds on, off, on: felt in a pocket. */
const SHAKE = [400, 200, 400];
/** European ringback (ITU-T E.180): 425 Hz, 1 s on, 4 s off. */
const RINGBACK = { everyMs: 5_000, hz: 425, seconds: 1 };
/** ITU-T Q.23 */
const KEY_HZ = {
  1: [697, 1209], 2: [697, 1336], 3: [697, 1477], 4: [770, 1209], 5: [770, 1336], 6: [770, 1477],
  7: [852, 1209], 8: [852, 1336], 9: [852, 1477], '*': [941, 1209], 0: [941, 1336], '#': [941, 1477],
};

let bell = null;
let ringback = null;

/** `ducked()`: whether a call is going on, asked anew each round. */
export function startBell(ducked = () => false) {
  if (bell) return;
  let round = 0;
  const stop = loop(BELL.everyMs, (out) => {
    const rise = prefs.ringRises ? BELL_RISE[Math.min(round, BELL_RISE.length - 1)] : 1;
    const volume = prefs.ringVolume * rise * (ducked() ? DUCKED : 1) * 0.5;
    round += 1;
    for (const [after, hz] of BELL.notes) chime(out, hz, after, 0.5, volume);
  }, bellOut());
  // Also where no sound is allowed yet. A page that nobody has touched may not shake: the browser says so by false.
  const shake = () => navigator.vibrate?.(SHAKE);
  if (touched()) shake();
  const shaking = setInterval(() => { if (touched()) shake(); }, BELL.everyMs);
  bell = () => {
    clearInterval(shaking);
    if (touched()) navigator.vibrate?.(0);
    stop();
  };
}

export function stopBell() {
  bell?.();
  bell = null;
}

function touched() {
  return navigator.userActivation?.hasBeenActive ?? true;
}

/** Whether the bell is really to be heard, as far as a page can know. */
export function bellIsAudible() {
  return bell !== null && soundUnlocked() && prefs.ringVolume > 0;
}

export function startRingback() {
  ringback ??= loop(RINGBACK.everyMs, (out) => tone(out, [RINGBACK.hz], 0, RINGBACK.seconds, 0.07));
}

export function stopRingback() {
  ringback?.();
  ringback = null;
}

/** One ring, to try the sound. */
export function testBell() {
  const out = bellOut();
  for (const [after, hz] of BELL.notes) chime(out, hz, after, 0.5, prefs.ringVolume * 0.5);
}

export function keyTone(digit) {
  const pair = KEY_HZ[digit];
  if (pair) tone(audioContext().destination, pair, 0, 0.14, 0.06);
}

/** The small mark when a call is joined or over. */
export function mark(kind) {
  const out = audioContext().destination;
  const [first, second] = kind === 'joined' ? [523.3, 784] : [523.3, 349.2];
  chime(out, first, 0, 0.14, 0.12);
  chime(out, second, 0.1, 0.22, 0.12);
}

function loop(everyMs, play, end = audioContext().destination) {
  const ctx = audioContext();
  const out = new GainNode(ctx, { gain: 1 });
  out.connect(end);
  const round = () => {
    if (ctx.state === 'running') play(out);
  };
  round();
  const timer = setInterval(round, everyMs);
  // A context that is unlocked in mid-ring should not wait for the next round.
  const wake = () => round();
  ctx.addEventListener('statechange', wake);
  return () => {
    clearInterval(timer);
    ctx.removeEventListener('statechange', wake);
    out.gain.setTargetAtTime(0, ctx.currentTime, 0.02);
    setTimeout(() => out.disconnect(), 200);
  };
}

/** A struck bar: a sine with its fourth partial, dying away. */
function chime(out, hz, after, seconds, volume) {
  const ctx = audioContext();
  const start = ctx.currentTime + after;
  for (const [partial, share] of [[1, 1], [4, 0.22]]) {
    const osc = new OscillatorNode(ctx, { type: 'sine', frequency: hz * partial });
    const gain = new GainNode(ctx, { gain: 0 });
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(volume * share, start + 0.008);
    gain.gain.exponentialRampToValueAtTime(0.0001, start + seconds / partial ** 0.4);
    osc.connect(gain).connect(out);
    osc.start(start);
    osc.stop(start + seconds + 0.05);
  }
}

function tone(out, frequencies, after, seconds, volume) {
  const ctx = audioContext();
  const start = ctx.currentTime + after;
  const gain = new GainNode(ctx, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(volume, start + 0.02);
  gain.gain.setValueAtTime(volume, start + seconds - 0.03);
  gain.gain.linearRampToValueAtTime(0, start + seconds);
  gain.connect(out);
  for (const frequency of frequencies) {
    const osc = new OscillatorNode(ctx, { type: 'sine', frequency });
    osc.connect(gain);
    osc.start(start);
    osc.stop(start + seconds);
  }
}
