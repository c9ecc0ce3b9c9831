// One call: what was said and what it came to, what happened and why, how it sounded and what it cost.

import { api } from '../api.js';
import { msSince } from '../clock.js';
import { setTitle } from '../router.js';
import { agentName, noteCall, numberOf, state } from '../state.js';
import { bdi, fill, h, icon, setText } from '../ui/dom.js';
import { clockTime, contactName, contactNumber, duration, money, whenExactly, words } from '../ui/format.js';
import { marksPane } from '../ui/marks.js';
import { showNotes } from '../ui/notes.js';
import { avatar, facts, failed, skeleton, statusBadge } from '../ui/parts.js';
import { showPlayer } from '../ui/player.js';
import { drawQuality } from '../ui/qualitygraph.js';
import { sealPane } from '../ui/seal.js';
import { summaryPane } from '../ui/summary.js';
import { timelinePane } from '../ui/timeline.js';
import { transcriptPane } from '../ui/transcript.js';

/** Quality figures of a running call are fetched this often. */
const QUALITY_EVERY_MS = 5_000;
/** A pulse of the rate card. */
const PULSE_S = 6;

export function callView(root, scope, { id }) {
  setTitle('Call');
  const page = h('div', { class: 'page' }, crumb(), h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Call')), h('div', { class: 'card' }, skeleton(6)));
  fill(root, page);
  void load();

  async function load() {
    try {
      const call = await api.get(`/v1/calls/${encodeURIComponent(id)}`, scope.signal);
      if (scope.gone) return;
      noteCall(call);
      const heard = document.activeElement === page.querySelector('h1');
      build(page, scope, id);
      if (heard) page.querySelector('h1').focus({ preventScroll: true });
    } catch (error) {
      if (!scope.gone) fill(page, crumb(), h('h1', { tabindex: -1 }, 'Call'), h('div', { class: 'card' }, failed(error, error.status === 404 ? null : load)));
    }
  }
}

function build(page, scope, id) {
  const call = () => state.calls.get(id);
  const head = h('div', { class: 'page-head' });
  const factBox = h('div', { class: 'card-pad' });
  const clock = h('span', { class: 'num', testid: 'call-length' });
  const cost = h('span', { testid: 'call-cost' });
  const player = card('Recording', 'recording');
  const transcript = card('Transcript', 'transcript-card');
  const summary = card('Summary', 'summary-card');
  const notes = card('Notes', 'notes-card');
  const marks = card('What it was', 'marks');
  const offers = card('Offered to', 'offers', '');
  const trace = card('How the call was routed', 'trace');
  const quality = card('Sound quality', 'quality', '');
  const timeline = card('Timeline', 'timeline-card');
  trace.hidden = quality.hidden = timeline.hidden = true;

  fill(page, crumb(), head,
    h('div', { class: 'two' },
      h('div', null, player, summary, transcript, notes, timeline),
      h('div', null, marks, h('section', { class: 'card', ariaLabel: 'Facts' }, h('div', { class: 'card-head' }, h('h2', null, 'Facts')), factBox), offers, trace, quality)));

  let sound = null;
  const seek = (ms) => {
    sound?.seek(ms);
    sound?.play();
  };
  const words_ = transcriptPane(transcript.box, scope, call(), seek);
  const sum = summaryPane(summary.box, scope, call(), seek);
  const mark = marksPane(marks.box, scope, call());
  const story = timelinePane(timeline, timeline.box, scope, id);
  const seal = sealPane(scope, id);
  showNotes(notes.box, scope, `/v1/calls/${id}/notes`, (note) => note.call_id === id);

  let played = null;
  let drawn = null;
  const draw = () => {
    const now = call();
    const text = JSON.stringify(now);
    if (text === drawn) return;
    drawn = text;
    setTitle(`Call with ${contactName(now.contact)}`);
    drawHead(head, now);
    // Where nobody talked there is nothing to hear, to read, or to sum up.
    player.hidden = summary.hidden = transcript.hidden = now.state === 'ended' && !now.answered_at;
    drawFacts(factBox, now, clock, cost, seal);
    offers.hidden = (now.offers ?? []).length === 0;
    drawOffers(offers.box, now.offers ?? []);
    words_.update(now);
    sum.update(now);
    mark.update(now);
    const wanted = `${now.recording?.state} ${now.state === 'ended'}`;
    if (wanted === played) return;
    played = wanted;
    void showPlayer(player.box, scope, now, (opened) => {
      sound = opened;
      opened.onTime((ms) => words_.at(ms));
    });
  };
  const reload = async () => {
    try {
      noteCall(await api.get(`/v1/calls/${id}`, scope.signal));
    } catch { /* what is shown stays; the next event asks again */ }
  };
  const measure = async () => {
    try {
      const { legs } = await api.get(`/v1/calls/${id}/quality`, scope.signal);
      if (!scope.gone) drawQuality(quality, quality.box, legs ?? []);
    } catch { /* figures are a courtesy */ }
  };

  draw();
  void drawTrace(trace, trace.box, id, scope);
  void measure();
  scope.on('call', (changed) => {
    if (changed.id !== id) return;
    draw();
    story.update();
    if (changed.state !== 'ended') return;
    void drawTrace(trace, trace.box, id, scope);
    void measure();
  });
  for (const topic of ['recording', 'summary', 'transcript']) {
    scope.on(topic, (data) => {
      if (data.call_id !== id) return;
      story.update();
      void reload();
    });
  }
  for (const topic of ['note', 'alarm', 'dtmf']) scope.on(topic, (data) => { if ((data.call_id ?? data.callId) === id) story.update(); });
  scope.on('agent', () => { drawn = null; draw(); });
  scope.on('resync', () => { void reload(); story.update(); });
  scope.every(1_000, () => setText(clock, length(call())));
  const timer = setInterval(() => {
    if (call().state === 'ended') return;
    void measure();
    if (call().direction === 'business_initiated' && call().answered_at) void reload(); // what it costs by now
  }, QUALITY_EVERY_MS);
  scope.add(() => clearInterval(timer));
}

/** A section with a heading; `box` is what it holds. */
function card(title, testid, pad = 'card-pad') {
  const box = h('div', { class: pad });
  const element = h('section', { class: 'card', testid, ariaLabel: title }, h('div', { class: 'card-head' }, h('h2', null, title)), box);
  return Object.assign(element, { box });
}

function crumb() {
  return h('a', { class: 'crumb', href: '/calls' }, icon('back', 'icon-s'), 'Calls');
}

function drawHead(head, { contact, status, direction }) {
  fill(head, h('div', { class: 'head-who' }, avatar(contact, 'avatar-l'),
    h('div', null,
      h('h1', { tabindex: -1 }, bdi(contactName(contact))),
      h('div', { class: 'head-sub' }, h('span', { class: 'num' }, bdi(contactNumber(contact))), h('span', null, `${words.direction(direction)} call`), statusBadge(status)))),
  h('a', { class: 'btn', href: `/contacts/${encodeURIComponent(contact.id)}` }, icon('contacts'), 'Open contact'));
}

const RECORDING = {
  not_wanted: 'Not recorded: switched off for this call', not_announced: 'Not recorded: it ended before the announcement did', opted_out: 'The customer did not want to be recorded',
  recorder_failed: 'The recorder failed', awaited: 'On another machine that is away', interrupted: 'Cut off by a crash',
};

function drawFacts(box, call, clock, cost, seal) {
  setText(clock, length(call));
  fill(cost, costWords(call));
  const { consent, reason, state: kept } = call.recording ?? {};
  fill(box, facts([
    ['Started', whenExactly(call.created_at)],
    ['Answered', call.answered_at && whenExactly(call.answered_at)],
    ['Ended', call.ended_at && whenExactly(call.ended_at)],
    ['Duration', clock],
    ['Agent', bdi(agentName(call.agent_id) ?? 'Nobody')],
    ['Business number', h('span', { class: 'num' }, numberOf(call.number_id) ?? call.number_id)],
    ['How it ended', words.endReason(call.end_reason)],
    ['Open again', call.opens_at && whenExactly(call.opens_at)],
    ['Ended by', words.endedBy(call.ended_by)],
    ['Cost', cost],
    ['Consent', consentWords(consent)],
    ['Recording', call.state === 'ended' && (RECORDING[reason] ?? null)],
    ['Integrity', kept === 'ready' && seal],
    ['Call id', h('span', { class: 'mono' }, call.id)],
    ['WhatsApp id', call.wacid && h('span', { class: 'mono' }, call.wacid)],
    ['Callback data', call.callback_data && h('span', { class: 'mono' }, bdi(call.callback_data))],
    ['From call button', call.cta_payload && h('span', { class: 'mono' }, bdi(call.cta_payload))],
    ['From call link', call.deeplink_payload && h('span', { class: 'mono' }, bdi(call.deeplink_payload))],
  ]));
}

function costWords({ direction, answered_at: answered, charge, cost_so_far: soFar, state: at }) {
  if (direction !== 'business_initiated') return 'Free: incoming calls cost nothing';
  const told = charge ?? soFar;
  if (!told) return at === 'ended' && answered ? 'Not charged yet' : answered ? '…' : 'Nothing: it was not answered';
  const per = told.pulses > 0 ? ` at ${money(Math.round((told.micros / told.pulses) * (60 / PULSE_S)), told.currency)} a minute` : '';
  return [h('strong', null, money(told.micros, told.currency)), charge ? '' : ' by now', h('span', { class: 'dim' }, `, ${told.pulses} ${told.pulses === 1 ? 'pulse' : 'pulses'} of ${PULSE_S} s${per}`)];
}

function consentWords(consent) {
  if (!consent) return null;
  const { state: at, language, announced_at: announced, opted_out_at: out } = consent;
  if (at === 'opted_out') return `The customer opted out${out ? ` at ${clockTime(out)}` : ''}`;
  if (at === 'announced') return `Announced to both${announced ? ` at ${clockTime(announced)}` : ''} (${language})`;
  return `The announcement was not played to its end (${language})`;
}

function drawOffers(box, offers) {
  fill(box, h('div', { class: 'table-wrap', tabindex: 0, role: 'region', ariaLabel: 'Offers' }, h('table', { class: 'stack', ariaLabel: 'Offers' },
    h('thead', null, h('tr', null, ['Agent', 'Offered', 'Outcome', 'Rang'].map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', null, offers.map((offer) => h('tr', { testid: 'offer' },
      h('td', null, h('strong', null, bdi(agentName(offer.agent_id)))),
      h('td', { class: 'num nowrap' }, clockTime(offer.offered_at)),
      h('td', null, h('span', null, words.outcome(offer.outcome), offer.cause && h('span', { class: 'dim' }, `, ${words.cause(offer.cause).toLowerCase()}`), offer.trouble && h('span', { class: 'dim' }, `: ${words.trouble(offer.trouble)}`))),
      h('td', { class: 'num nowrap', data: { label: 'Rang' } }, offer.ended_at ? `${((Date.parse(offer.ended_at) - Date.parse(offer.offered_at)) / 1000).toFixed(1)} s` : '…')))))));
}

async function drawTrace(card_, box, id, scope) {
  let trace;
  try {
    ({ trace } = await api.get(`/v1/calls/${id}/trace`, scope.signal));
  } catch {
    return; // the role may not see it, or there was nothing to decide
  }
  if (scope.gone || !trace?.length) return;
  card_.hidden = false;
  fill(box, h('ol', { class: 'steps' }, trace.map(({ step, agent_id: agentId, verdict, reason, count }) => h('li', { data: verdict === 'chosen' ? { chosen: '' } : {} },
    h('span', null, h('strong', null, traceWords(step)), agentId ? [' · ', bdi(agentName(agentId))] : count > 1 && ` · ${count} agents`, verdict && [' · ', traceWords(verdict)]),
    reason && h('span', { class: 'dim small' }, traceWords(reason))))));
}

function traceWords(text) {
  const known = { chat_assignee: 'Chat assignee', contact_owner: 'Contact owner', round_robin: 'Round robin', chosen: 'Rang', next: 'Next in line', skipped: 'Passed over' };
  if (Object.hasOwn(known, text)) return known[text];
  return /^[a-z_]+$/.test(text ?? '') ? (text[0].toUpperCase() + text.slice(1)).replaceAll('_', ' ') : text;
}

function length(call) {
  if (!call.answered_at) return '–';
  return duration(call.state === 'ended' ? call.duration_ms : msSince(call.answered_at));
}
