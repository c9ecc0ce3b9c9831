// What a call came to, at the top right: at once what is known, then the summary's first line as
// soon as there is one. The whole message opens the call.

import { api } from '../api.js';
import { on } from '../bus.js';
import { awaitsSummary } from '../state.js';
import { bdi, h, icon, setText } from './dom.js';
import { contactName, duration, words } from './format.js';

const STAY_MS = 9_000;
/** A summary that takes longer is read on the customer's page. */
const SUMMARY_MS_MAX = 60_000;
const LINE_CHARS_MAX = 110;
const NONE = 'There is no summary of this call.';

export function callToast(call) {
  const summary = h('span', { class: 'toast-summary', testid: 'toast-summary' });
  const outcome = [call.status, call.answered_at ? duration(call.duration_ms) : words.endReason(call.end_reason)];
  const element = h('div', { class: 'toast', testid: 'toast', data: { tone: call.status === 'Completed' ? 'go' : 'warn', callId: call.id } },
    h('a', { class: 'toast-text toast-link', href: `/calls/${call.id}`, title: 'Open call' },
      h('strong', null, bdi(contactName(call.contact))),
      h('span', { class: 'num' }, [...new Set(outcome)].filter(Boolean).join(' · ')),
      summary),
    h('button', { type: 'button', ariaLabel: 'Close message', onclick: () => close() }, icon('close', 'icon-s')));

  let timer = null;
  let pointed = false;
  /** Until then the message waits for the summary. */
  let awaited = awaitsSummary(call) ? performance.now() + SUMMARY_MS_MAX : 0;
  if (awaited) setText(summary, 'The summary is being written…');
  const leaveSoon = () => {
    clearTimeout(timer);
    if (pointed) return;
    timer = setTimeout(close, Math.max(STAY_MS, awaited - performance.now()));
  };
  const say = (text) => {
    awaited = 0;
    setText(summary, text);
    leaveSoon();
  };
  const offs = [
    on('summary', ({ call_id: id, state, text }) => { if (id === call.id) say(state === 'ready' ? firstLine(text) : NONE); }),
    // Written down, and nobody sums it up.
    on('transcript', async ({ call_id: id }) => {
      if (id !== call.id || !awaited) return;
      const now = await api.get(`/v1/calls/${id}`).catch(() => null);
      if (awaited && now && !awaitsSummary(now) && !now.summary?.text) say(NONE);
    }),
  ];
  function close() {
    clearTimeout(timer);
    offs.forEach((off) => off());
    element.remove();
  }
  for (const event of ['pointerenter', 'focusin']) element.addEventListener(event, () => { pointed = true; clearTimeout(timer); });
  for (const event of ['pointerleave', 'focusout']) element.addEventListener(event, () => { pointed = false; leaveSoon(); });
  document.getElementById('toasts').append(element);
  leaveSoon();
  // The end's event tells of a summary that may be ready by now.
  if (awaited) {
    api.get(`/v1/calls/${call.id}/summary`).then(({ state, summary: made }) => {
      if (!awaited || state !== 'ready') return;
      say(firstLine(made.text));
    }, () => { /* the event tells */ });
  }
}

/** As much of it as a message holds, in whole words. */
export function firstLine(text) {
  const [line] = String(text).trim().split('\n');
  if (line.length <= LINE_CHARS_MAX) return line;
  const cut = line.slice(0, LINE_CHARS_MAX);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(' '), LINE_CHARS_MAX / 2)).trimEnd()}…`;
}
