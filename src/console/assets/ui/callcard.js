// One call on its customer's page: what it came to, and beneath it, on demand, recording, transcript
// and the summary's points. While it runs, what is being said.

import { api } from '../api.js';
import { followWords } from '../captions.js';
import { msSince } from '../clock.js';
import { agentName, awaitsSummary, noteCall, state } from '../state.js';
import { captionLine } from './captions.js';
import { bdi, fill, h, icon, setText } from './dom.js';
import { duration, when, words } from './format.js';
import { directionMark, failed, skeleton, statusBadge } from './parts.js';
import { showPlayer } from './player.js';
import { toastError } from './toast.js';
import { Scope } from './scope.js';

/** Answers `{ element, update(call), tick(), close() }`. */
export function callCard(first) {
  let call = first;
  const scope = new Scope();
  const head = h('div', { class: 'call-card-head' });
  const clock = h('span', { class: 'num dim', testid: 'card-duration' });
  const summary = h('div', { class: 'call-card-summary', testid: 'card-summary' });
  const live = h('div', { class: 'call-card-live', hidden: true, role: 'log', ariaLive: 'off', tabindex: 0, ariaLabel: 'What is being said', testid: 'card-live' });
  const recording = pane('Recording', 'card-recording', (root, inner) => showPlayer(root, inner, call));
  const transcript = pane('Transcript', 'card-transcript', (root, inner) => showTranscript(root, inner, call, seek));
  const points = pane('Key points', 'card-points', (root, inner) => showPoints(root, inner, call, seek));
  const panes = [recording, transcript, points];
  const keys = h('div', { class: 'call-card-keys' }, panes.map(({ button }) => button),
    h('a', { class: 'btn btn-s call-card-open', href: `/calls/${call.id}` }, 'Open call'));
  const element = h('article', { class: 'call-card', testid: 'call-card', data: { callId: call.id } },
    head, live, summary, keys, panes.map(({ box }) => box));

  /** Plays from there; the recording is opened for it. */
  async function seek(ms) {
    await recording.show(true);
    const audio = recording.box.querySelector('audio');
    if (!audio) return;
    audio.currentTime = ms / 1000;
    void audio.play();
  }

  let unfollow = null;
  function follow(wish) {
    if (wish === (unfollow !== null)) return;
    live.hidden = !wish;
    unfollow?.();
    unfollow = null;
    if (!wish) return;
    const lines = h('ol', { class: 'words' });
    fill(live, h('p', { class: 'label' }, 'Live transcript'), lines);
    fill(lines, h('li', { class: 'caption-wait dim' }, 'Listening… Words appear here while they are spoken.'));
    unfollow = followWords(call.id, (segments) => {
      fill(lines, segments.map(captionLine));
      live.scrollTop = live.scrollHeight;
    });
  }

  let drawn = null;
  function update(changed) {
    call = changed;
    const text = JSON.stringify([call, agentName(call.agent_id)]);
    if (text === drawn) return;
    drawn = text;
    element.dataset.status = call.status;
    fill(head, directionMark(call),
      h('div', { class: 'call-card-what' },
        h('div', { class: 'call-card-line' }, h('a', { class: 'call-card-when', href: `/calls/${call.id}` }, h('time', { datetime: call.created_at }, when(call.created_at))), statusBadge(call.status)),
        h('div', { class: 'call-card-sub dim' }, h('span', null, [words.direction(call.direction), agentOf(call), outcome(call)].filter(Boolean).join(' · ')), clock)));
    tick();
    follow(call.state !== 'ended' && call.transcript?.state === 'live');
    drawSummary();
    const kept = call.recording?.state === 'ready';
    recording.allow(kept, `${call.recording?.state}`);
    transcript.allow(call.state === 'ended' && ['pending', 'ready', 'failed'].includes(call.transcript?.state), call.transcript?.state);
    points.allow(call.summary?.state === 'ready', call.summary?.text);
  }

  function drawSummary() {
    const { state: at, text } = call.summary ?? {};
    const over = call.state === 'ended' && call.answered_at;
    summary.dataset.state = at ?? 'off';
    if (text) fill(summary, h('p', null, bdi(text)), at === 'pending' && h('p', { class: 'dim small' }, 'A newer summary is being written…'));
    else if (awaitsSummary(call)) fill(summary, h('p', { class: 'dim' }, 'The summary is being written…'));
    else if (over && at === 'failed') fill(summary, h('p', { class: 'dim' }, 'No summary could be made. ', call.agent_id === state.agent.id && h('button', { type: 'button', class: 'link', onclick: again }, 'Try again')));
    else fill(summary);
  }

  async function again() {
    try {
      await api.post(`/v1/calls/${call.id}/summary`);
      noteCall(await api.get(`/v1/calls/${call.id}`));
    } catch (error) {
      toastError('The summary was not asked for', error);
    }
  }

  function tick() {
    const ms = call.state === 'ended' ? call.duration_ms : msSince(call.answered_at);
    setText(clock, call.answered_at ? duration(ms) : '');
  }

  update(first);
  return {
    element,
    update,
    tick,
    close() {
      follow(false);
      panes.forEach((each) => each.close());
      scope.close();
    },
  };
}

/** A button that opens a box; `build(root, scope)` fills it when it is opened, and anew when `allow` tells of a change. */
function pane(label, testid, build) {
  let inner = null;
  let version = null;
  const box = h('div', { class: 'call-card-pane', testid, hidden: true });
  const button = h('button', { type: 'button', class: 'btn btn-s', testid: `${testid}-open`, ariaExpanded: false, hidden: true, onclick: () => show(box.hidden) }, label, icon('chevron', 'icon-s'));
  async function show(wish) {
    if (wish === !box.hidden) return;
    box.hidden = !wish;
    button.setAttribute('aria-expanded', String(wish));
    inner?.close();
    inner = null;
    fill(box);
    if (!wish) return;
    inner = new Scope();
    await build(box, inner);
  }
  return {
    box,
    button,
    show,
    allow(wish, now) {
      button.hidden = !wish;
      if (!wish) void show(false);
      const stale = wish && !box.hidden && version !== now;
      version = now;
      if (stale) void show(false).then(() => show(true));
    },
    close: () => inner?.close(),
  };
}

function agentOf(call) {
  const offered = [...new Set((call.offers ?? []).map((offer) => agentName(offer.agent_id)))];
  return agentName(call.agent_id) ?? offered.join(', ');
}

function outcome(call) {
  return call.state === 'ended' && !call.answered_at ? words.endReason(call.end_reason) : null;
}

async function showTranscript(root, scope, call, seek) {
  fill(root, skeleton(3));
  try {
    const { state: at, segments, unheard } = await api.get(`/v1/calls/${call.id}/transcript`, scope.signal);
    fill(root,
      at === 'pending' && h('p', { class: 'dim' }, 'A part is still being written down.'),
      at === 'failed' && h('p', { class: 'dim' }, 'Part of what was said could not be written down.'),
      segments.length === 0 ? h('p', { class: 'dim' }, 'Nothing was said that could be written down.') : h('ol', { class: 'words' }, segments.map((segment) => spoken(segment, seek))),
      at === 'ready' && unheard.length > 0 && h('p', { class: 'dim small' }, 'Some speech is not written down.'));
  } catch (error) {
    if (!scope.gone) fill(root, failed(error, () => showTranscript(root, scope, call, seek)));
  }
}

function spoken({ speaker, text, start_ms: start }, seek) {
  return h('li', { data: { speaker } },
    h('strong', null, speaker === 'agent' ? 'Agent' : 'Customer', ' ', stamp(start, seek)),
    h('span', null, bdi(text)));
}

function stamp(ms, seek) {
  return h('button', { type: 'button', class: 'link num stamp', ariaLabel: `Play from ${duration(ms)}`, onclick: () => seek(ms) }, duration(ms));
}

async function showPoints(root, scope, call, seek) {
  fill(root, skeleton(3));
  try {
    const { summary } = await api.get(`/v1/calls/${call.id}/summary`, scope.signal);
    const said = (point, extra) => h('li', null, bdi(point.text), extra && h('span', { class: 'dim' }, ` ${extra}`), ' ', stamp(point.start_ms, seek));
    const part = (title, items) => items.length > 0 && [h('h3', null, title), h('ul', { class: 'key-points' }, items)];
    const parts = [
      part('Reason', summary?.reason ? [said(summary.reason)] : []),
      part('Key points', (summary?.key_points ?? []).map((point) => said(point))),
      part('Open questions', (summary?.questions ?? []).filter(({ answered }) => !answered).map((point) => said(point))),
      part('Next steps', (summary?.action_items ?? []).map((item) => said(item, [item.owner === 'agent' ? 'Agent' : 'Customer', item.due].filter(Boolean).join(', ')))),
      part('Outcome', summary?.outcome ? [said(summary.outcome, outcomeWords(summary.outcome.word))] : []),
    ].filter(Boolean);
    fill(root, parts.length > 0 ? parts : h('p', { class: 'dim' }, 'Nothing stood out.'));
  } catch (error) {
    if (!scope.gone) fill(root, failed(error, () => showPoints(root, scope, call, seek)));
  }
}

function outcomeWords(word) {
  return { resolved: 'Resolved', follow_up: 'Follow-up', escalated: 'Escalated', unresolved: 'Unresolved', wrong_number: 'Wrong number' }[word] ?? '';
}
