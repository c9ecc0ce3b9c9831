// What was said: read along with the sound, searched, and taken home.

import { api } from '../api.js';
import { followWords } from '../captions.js';
import { agentName, state } from '../state.js';
import { bdi, fill, h, icon, setText } from './dom.js';
import { clockFromMs, words } from './format.js';
import { failed, skeleton } from './parts.js';
import { save } from './save.js';
import { toastError } from './toast.js';

const WHY = {
  not_recorded: 'The call was not recorded, and what is not kept as sound is not kept as text.',
  switched_off: 'Transcription is switched off.',
  recogniser_away: 'The recogniser could not be reached.',
  recording_lost: 'The recording is not there to be listened to.',
  recording_deleted: 'The recording was deleted before all of it was written down.',
};

/** Fills `root`; answers `{ update(call), at(ms) }`. `seek(ms)` is called when somebody picks a place. */
export function transcriptPane(root, scope, first, seek) {
  let call = first;
  let segments = [];
  let told = {};
  let items = [];
  let current = null;
  let drawn = '';
  let failedOnce = false;
  const status = h('p', { class: 'dim small', role: 'status', testid: 'transcript-state' });
  const box = h('ol', { class: 'transcript', tabindex: 0, ariaLabel: 'Transcript', testid: 'transcript' });
  const found = h('span', { class: 'dim small', role: 'status', testid: 'transcript-found' });
  const text = h('input', { type: 'search', class: 'input', placeholder: 'Find in this call', ariaLabel: 'Find in this call', testid: 'transcript-search', oninput: search });
  const tools = h('div', { class: 'transcript-tools', hidden: true }, h('div', { class: 'search' }, icon('search'), text), found,
    h('div', { class: 'card-tools' },
      h('button', { type: 'button', class: 'btn btn-s', testid: 'transcript-txt', onclick: () => save(new Blob([plain()], { type: 'text/plain' }), `${call.id}.transcript.txt`) }, icon('download', 'icon-s'), 'Text'),
      h('button', { type: 'button', class: 'btn btn-s', testid: 'transcript-json', onclick: () => save(new Blob([JSON.stringify(told, null, 2)], { type: 'application/json' }), `${call.id}.transcript.json`) }, icon('download', 'icon-s'), 'JSON')));
  let match = -1;
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    const marks = box.querySelectorAll('mark');
    if (marks.length === 0) return;
    match = (match + (event.shiftKey ? marks.length - 1 : 1)) % marks.length;
    setText(found, `${match + 1} of ${marks.length}`);
    marks[match].scrollIntoView({ block: 'nearest' });
  });
  fill(root, skeleton(3));

  async function load() {
    try {
      told = await api.get(`/v1/calls/${call.id}/transcript`, scope.signal);
    } catch (error) {
      if (scope.gone) return;
      if (segments.length === 0 && !failedOnce) fill(root, failed(error, load));
      failedOnce = true;
      return;
    }
    if (scope.gone) return;
    // What was followed meanwhile is newer.
    if (unfollow === null || segments.length === 0) segments = [...told.segments].sort((a, b) => a.start_ms - b.start_ms);
    draw();
  }

  function draw() {
    if (root.firstChild !== tools) fill(root, tools, status, box);
    tools.hidden = segments.length === 0;
    box.hidden = segments.length === 0;
    fill(status, stateWords());
    const text_ = JSON.stringify([segments, told.unheard]);
    if (text_ === drawn) return;
    drawn = text_;
    const following = box.scrollTop + box.clientHeight >= box.scrollHeight - 24;
    const holes = (told.state === 'failed' ? told.unheard ?? [] : []).map((hole) => ({ ...hole, hole: true }));
    items = [...segments, ...holes].sort((a, b) => a.start_ms - b.start_ms).map((segment) => ({ segment, element: line(segment) }));
    fill(box, items.map(({ element }) => element));
    current = null;
    search();
    if (following && told.state === 'live') box.scrollTop = box.scrollHeight;
  }

  function line(segment) {
    const speaker = segment.speaker === 'agent' ? agentName(call.agent_id) ?? 'Agent' : words.leg('whatsapp');
    return h('li', { testid: 'segment', class: segment.hole ? 'gap' : null, data: { speaker: segment.speaker, ...(segment.final === false && { growing: '' }) } },
      h('button', { type: 'button', ariaLabel: `Play from ${clockFromMs(segment.start_ms)}`, onclick: () => seek(segment.start_ms) }, clockFromMs(segment.start_ms)),
      h('strong', null, bdi(speaker)),
      h('span', { class: 'said', dir: 'auto' }, segment.hole ? 'Not written down' : segment.text));
  }

  function stateWords() {
    const why = WHY[call.transcript?.reason];
    const again = call.state === 'ended' && call.agent_id === state.agent.id && h('button', { type: 'button', class: 'link', testid: 'transcript-again', onclick: again_ }, 'Try again');
    switch (told.state) {
      case 'live': if (call.state === 'ended') return segments.length > 0 ? 'The rest is being written down…' : 'It is being written down…';
        return segments.length > 0 ? 'Live: words appear while they are spoken.' : 'Listening… Words appear here while they are spoken.';
      case 'pending': return 'A part is still being written down from the recording.';
      case 'failed': return [`Part of the call could not be written down. ${why ?? ''} `, again];
      case 'ready': return segments.length === 0 ? 'Nothing was said that could be written down.' : '';
      default: return why ?? (call.answered_at ? 'This call was not transcribed.' : 'Nobody talked in this call.');
    }
  }

  async function again_() {
    try {
      await api.post(`/v1/calls/${call.id}/transcript`);
      await load();
    } catch (error) {
      toastError('It is not written down again', error);
    }
  }

  /** Marks what is looked for; all text stays text. */
  function search() {
    const wanted = text.value.trim().toLocaleLowerCase();
    match = -1;
    let count = 0;
    for (const { segment, element } of items) {
      if (segment.hole) continue;
      const said = element.querySelector('.said');
      const pieces = wanted ? split(segment.text, wanted) : [segment.text];
      count += Math.floor(pieces.length / 2);
      fill(said, pieces.map((piece, i) => (i % 2 === 1 ? h('mark', null, piece) : piece)));
    }
    setText(found, wanted ? (count === 0 ? 'Not said' : `${count} found`) : '');
    box.querySelector('mark')?.scrollIntoView({ block: 'nearest' });
  }

  function plain() {
    return items.map(({ segment }) => `[${clockFromMs(segment.start_ms, true)}] ${segment.speaker}: ${segment.hole ? '(not written down)' : segment.text}\n`).join('');
  }

  /** While it runs the words come by themselves; when nobody listens any more the whole of it is read once. */
  let unfollow = null;
  function follow() {
    const runs = call.state !== 'ended' && Boolean(call.answered_at);
    if (runs === (unfollow !== null)) return;
    unfollow?.();
    unfollow = runs ? followWords(call.id, (spoken) => {
      told = { ...told, state: 'live', segments: spoken };
      segments = spoken;
      draw();
    }) : null;
  }
  scope.add(() => unfollow?.());

  void load();
  follow();
  scope.on('transcript', (data) => { if (data.call_id === call.id) void load(); });

  return {
    update(changed) {
      const was = `${call.state} ${call.answered_at} ${call.transcript?.state}`;
      call = changed;
      if (`${call.state} ${call.answered_at} ${call.transcript?.state}` === was) return;
      void load();
      follow();
    },
    /** The sound has come to here. */
    at(ms) {
      const now = items.findLast(({ segment }) => segment.start_ms <= ms && ms < segment.end_ms)?.element ?? null;
      if (now === current) return;
      current?.removeAttribute('aria-current');
      current = now;
      if (!now) return;
      now.setAttribute('aria-current', 'true');
      // Not while somebody reads elsewhere in it.
      if (!box.matches(':hover, :focus-within')) box.scrollTop += now.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
    },
  };
}

/** Every second piece is a match, as it was written. */
function split(text, wanted) {
  const lower = text.toLocaleLowerCase();
  if (lower.length !== text.length) return lower.includes(wanted) ? ['', text, ''] : [text]; // letters whose case changes their length
  const pieces = [];
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    pieces.push(text.slice(from, at), text.slice(at, at + wanted.length));
    from = at + wanted.length;
  }
  return [...pieces, text.slice(from)];
}
