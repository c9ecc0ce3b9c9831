// Accept and Reject on a notification. It may have been clicked before this page knew of the call: then the call is answered
// as soon as it does.

import { on } from './bus.js';
import { accept } from './line.js';
import { reject } from './offers.js';
import { whenChosen } from './notify.js';
import { state } from './state.js';
import { isLeader } from './tabs.js';
import { toast } from './ui/toast.js';

/** Opening the page and its event stream takes a second or two; a call that rings no more has gone by then. */
const WAIT_MS = 12_000;

let wanted = null;
let timer = null;

/** Answers an offer now, or when it is heard of. */
export function answerSoon(offerId) {
  if (state.offers.has(offerId)) return void accept(offerId);
  wanted = offerId;
  clearTimeout(timer);
  timer = setTimeout(gone, WAIT_MS);
}

on('offers', () => {
  if (wanted === null || !state.offers.has(wanted)) return;
  const offerId = wanted;
  forget();
  void accept(offerId);
});

// What rings is known now, and this was not among it.
on('resync', () => {
  if (wanted !== null) gone();
});

whenChosen((offerId, choice) => {
  if (!isLeader()) return;
  if (choice === 'accept') answerSoon(offerId);
  if (choice === 'reject') void reject(offerId);
});

function gone() {
  forget();
  toast({ title: 'The call is over', text: 'It rang no more when you accepted it.', tone: 'warn' });
}

function forget() {
  clearTimeout(timer);
  wanted = null;
}
