// Which call's audio belongs to this browser. Kept beside the tabs, so that a reload, or a restarted
// browser, takes its call back, while a second device does not take it away by merely looking.

import { state } from './state.js';

export function claim(callId) {
  try {
    localStorage.setItem(claimKey(), callId);
  } catch { /* then a reload asks first */ }
}

export function unclaim(callId) {
  try {
    if (claimed(callId)) localStorage.removeItem(claimKey());
  } catch { /* nothing was kept */ }
}

export function claimed(callId) {
  try {
    return localStorage.getItem(claimKey()) === callId;
  } catch {
    return false;
  }
}

function claimKey() {
  return `tandem.audio.${state.agent.id}`;
}
