// Going online and offline by a click, wherever the switch stands.

import { emit } from '../bus.js';
import { unlockSound } from '../levels.js';
import { setOnline } from '../line.js';
import { state } from '../state.js';
import { toastError } from './toast.js';

let busy = false;

export function flipping() {
  return busy;
}

export async function flipOnline() {
  if (busy) return;
  const wish = state.agent.status !== 'online';
  busy = true;
  emit('agent');
  try {
    void unlockSound(); // this click is the gesture that browsers want
    await setOnline(wish);
  } catch (error) {
    toastError(wish ? 'You cannot go online yet' : 'Your status did not change', error);
  } finally {
    busy = false;
    emit('agent');
  }
}
