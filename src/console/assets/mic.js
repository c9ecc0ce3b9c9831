// The microphone: opened before an agent goes online, kept open while somebody holds it, measured
// for the level meter. What is sent is a clone, so that muting does not blind the meter.

import { emit } from './bus.js';
import { prefs } from './prefs.js';
import { LevelTap } from './levels.js';

/** unknown | asking | open | closed | denied | missing | busy | insecure */
let condition = 'unknown';
let stream = null;
let tap = null;
let opening = null;
let lost = null;
const holders = new Set();

export const mic = {
  condition: () => condition,
  track: () => stream?.getAudioTracks()[0] ?? null,
  level: () => tap?.level() ?? 0,
  /** The name of the microphone that was unplugged and is being replaced, or null. */
  lost: () => lost,
  /** Silenced outside the browser: by the headset's own key, or by the system. */
  silenced: () => mic.track()?.muted === true,

  /** Opens the microphone for a holder (`line`, `call`, `devices`, `check`, `wish`); true when it is open. */
  async hold(holder) {
    holders.add(holder);
    if (mic.track()?.readyState === 'live') return true;
    opening ??= open().finally(() => { opening = null; });
    const opened = await opening;
    if (holders.size === 0) close();
    return opened && condition === 'open';
  },

  /** The last holder closes the microphone. */
  release(holder) {
    holders.delete(holder);
    if (holders.size === 0) close();
  },

  /** Opens it anew, with the devices chosen now; the phone replaces its track on `mic` events. */
  async reopen() {
    if (holders.size === 0) return;
    opening ??= open().finally(() => { opening = null; });
    await opening;
  },
};

/** What is wrong with the microphone and how to mend it, or null. */
export function micTrouble() {
  if (condition === 'denied') return 'The browser refuses the microphone. Allow it in the address bar (lock sign), then go online again.';
  if (condition === 'missing') return 'No microphone found. Plug in a headset.';
  if (condition === 'busy') return 'Another program holds the microphone. Close it, then try again.';
  if (condition === 'insecure') return 'The browser gives a microphone only to https:// addresses or localhost. Open the console by such an address.';
  return null;
}

export async function microphones() {
  const devices = await navigator.mediaDevices?.enumerateDevices() ?? [];
  return {
    inputs: devices.filter((device) => device.kind === 'audioinput' && device.deviceId),
    outputs: devices.filter((device) => device.kind === 'audiooutput' && device.deviceId),
  };
}

navigator.mediaDevices?.addEventListener?.('devicechange', () => {
  emit('readiness');
  if (mic.track()?.readyState === 'ended' || condition === 'missing') void mic.reopen();
});

async function open() {
  if (!navigator.mediaDevices?.getUserMedia) {
    set('insecure');
    return false;
  }
  set('asking');
  try {
    const fresh = await ask(prefs.microphone).catch((error) => {
      // The chosen headset is gone: the system's choice is better than silence.
      if (prefs.microphone && error.name === 'OverconstrainedError') return ask('');
      throw error;
    });
    adopt(fresh);
    return true;
  } catch (error) {
    close();
    set(conditionFor(error));
    return false;
  }
}

function ask(deviceId) {
  return navigator.mediaDevices.getUserMedia({
    audio: {
      deviceId: deviceId ? { exact: deviceId } : undefined,
      channelCount: 1,
      echoCancellation: prefs.echoCancellation,
      noiseSuppression: prefs.noiseSuppression,
      autoGainControl: prefs.autoGainControl,
    },
  });
}

function adopt(fresh) {
  const old = stream;
  stream = fresh;
  tap?.close();
  tap = new LevelTap(stream);
  const [track] = stream.getAudioTracks();
  track.addEventListener('ended', () => {
    if (stream !== fresh) return;
    lost = track.label;
    set('missing'); // unplugged; what is left may do
    void mic.reopen();
  });
  set('open');
  emit('mic', track);
  lost = null;
  old?.getTracks().forEach((each) => each.stop());
}

function close() {
  tap?.close();
  tap = null;
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  if (condition === 'open') set('closed');
}

function set(next) {
  condition = next;
  emit('readiness');
}

function conditionFor(error) {
  if (error.name === 'NotAllowedError' || error.name === 'SecurityError') return 'denied';
  if (error.name === 'NotFoundError' || error.name === 'OverconstrainedError') return 'missing';
  return 'busy';
}
