// Headsets come and go in mid-call: what was chosen and is back is used again, what is gone gives way, and the agent is told
// in words while the call goes on.

import { on } from './bus.js';
import { mic, microphones } from './mic.js';
import { phoneView, useSpeaker } from './phone.js';
import { prefs } from './prefs.js';
import { followBellDevice, restoreBellDevice } from './ringout.js';
import { toast } from './ui/toast.js';

/** Names of what was there, for saying what is gone. */
const names = new Map();
let speakerGone = false;

export function startDeviceWatch() {
  on('mic', noteMicrophone);
  on('readiness', restoreBellDevice);
  navigator.mediaDevices?.addEventListener?.('devicechange', () => void look(true));
  void look(false);
}

/** The phone sends from another microphone, because the one before was pulled. */
function noteMicrophone({ label }) {
  const gone = mic.lost();
  if (gone === null || !inCall()) return;
  toast({ title: 'Your microphone is gone', text: `${gone || 'It'} was unplugged. The call goes on with “${label || 'the system’s microphone'}”.`, tone: 'warn' });
}

async function look(tell) {
  const { inputs, outputs } = await microphones();
  for (const { deviceId, label } of [...inputs, ...outputs]) if (label) names.set(deviceId, label);
  const ids = outputs.map(({ deviceId }) => deviceId);
  if (ids.length === 0 && !speakerGone) return; // a browser that lists none
  const bell = await followBellDevice(ids);
  if (tell && bell === 'gone') toast({ title: 'The bell’s device is gone', text: 'It rings where the customer’s voice is heard.', tone: 'warn' });
  if (!prefs.speaker) return;
  const there = ids.includes(prefs.speaker);
  if (there !== speakerGone) return;
  speakerGone = !there;
  const name = names.get(prefs.speaker) ?? 'The speaker you chose';
  try {
    await useSpeaker(there ? prefs.speaker : '');
    if (tell) toast(there ? { title: 'Speaker found again', text: `You hear the customer on “${name}”.` } : { title: 'Your headset is gone', text: `${name} was unplugged. You hear the customer on the system’s speaker${inCall() ? '; the call goes on' : ''}.`, tone: 'warn' });
  } catch {
    toast({ title: 'The speaker was not changed', text: 'Choose one under Devices.', tone: 'stop' });
  }
}

function inCall() {
  return phoneView().callId !== null;
}
