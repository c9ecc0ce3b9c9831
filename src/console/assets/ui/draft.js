// What an agent has begun to write down of a call, and not saved: this tab remembers it over a reload, for that agent alone.

import { state } from '../state.js';

/** Where nothing can be stored it lasts as long as the page. */
const drafts = new Map();

/** `{ callId, note, word }`, or null. */
export function draft() {
  if (drafts.has(place())) return drafts.get(place());
  try {
    return JSON.parse(sessionStorage.getItem(place()));
  } catch {
    return null;
  }
}

/** Of one call at a time: the next begins afresh. */
export function keepDraft(callId, change) {
  const kept = draft();
  write({ ...(kept?.callId === callId && kept), callId, ...change });
}

/** Saved, or left. */
export function forgetDraft(callId) {
  if (draft()?.callId === callId) write(null);
}

function write(kept) {
  drafts.set(place(), kept);
  try {
    sessionStorage.setItem(place(), JSON.stringify(kept));
  } catch { /* full or forbidden */ }
}

function place() {
  return `tandem.draft.${state.agent.id}`;
}
