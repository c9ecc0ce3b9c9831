// Where the bell is heard: on a device of its own, so that a ring is not lost in a headset on the table.

import { audioContext } from './levels.js';
import { prefs } from './prefs.js';

let player = null;
let stream = null;
/** The device that plays now; null: the bell goes where all else goes. */
let sink = null;

/** What the bell is connected to. */
export function bellOut() {
  return sink !== null && !player.paused ? stream : audioContext().destination;
}

export function canChooseBell() {
  return 'setSinkId' in HTMLMediaElement.prototype;
}

/** Sends the bell to the device that was chosen; empty: where all else goes. Rejects when it cannot, and rings there then. */
export async function useBellDevice(deviceId) {
  sink = null;
  if (!deviceId || !canChooseBell()) {
    player?.pause();
    return;
  }
  if (player === null) {
    stream = audioContext().createMediaStreamDestination();
    player = new Audio();
    player.srcObject = stream.stream;
  }
  await player.setSinkId(deviceId);
  await player.play();
  sink = deviceId;
}

/** Devices have come or gone: `ids` are those there are. Answers `gone` or `back` where that is the bell's. */
export async function followBellDevice(ids) {
  const wanted = prefs.ringDevice;
  const there = ids.includes(wanted);
  if (!wanted || there === (sink === wanted)) return null;
  const before = sink;
  await useBellDevice(there ? wanted : '').catch(() => { /* the next click tries again */ });
  return there ? (sink === wanted && 'back') : (before !== null && 'gone');
}

/** At the start, and whenever sound was unlocked: before a click the browser plays nothing. */
export function restoreBellDevice() {
  if (prefs.ringDevice && (sink !== prefs.ringDevice || player.paused)) useBellDevice(prefs.ringDevice).catch(() => { /* it rings where all else is heard */ });
}
