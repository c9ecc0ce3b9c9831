// One call: what happened, who was offered it and why, how it sounded, and the recording.

import { api } from '../api.js';
import { msSince } from '../clock.js';
import { setTitle } from '../router.js';
import { agentName, noteCall, numberOf, state } from '../state.js';
import { bdi, fill, h, icon, setText } from '../ui/dom.js';
import { clockTime, contactName, contactNumber, duration, whenExactly, words } from '../ui/format.js';
import { avatar, facts, failed, skeleton, statusBadge } from '../ui/parts.js';
import { showPlayer } from '../ui/player.js';

/** Quality figures of a running call are fetched this often. */
const QUALITY_EVERY_MS = 5_000;

export function callView(root, scope, { id }) {
  setTitle('Call');
  const page = h('div', { class: 'page' }, crumb(), h('div', { class: 'card' }, skeleton(6)));
  fill(root, page);
  void load();

  async function load() {
    try {
      noteCall(await api.get(`/v1/calls/${encodeURIComponent(id)}`, scope.signal));
    } catch (error) {
      if (!scope.gone) fill(page, crumb(), h('h1', { tabindex: -1 }, 'Call'), h('div', { class: 'card' }, failed(error, error.status === 404 ? null : load)));
      return;
    }
    if (!scope.gone) build(page, scope, id);
  }
}

function build(page, scope, id) {
  const call = () => state.calls.get(id);
  const head = h('div', { class: 'page-head' });
  const factBox = h('div', { class: 'card-pad' });
  const offerBox = h('div');
  const offerCard = h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Offered to')), offerBox);
  const traceBox = h('div', { class: 'card-pad' });
  const traceCard = h('section', { class: 'card', hidden: true }, h('div', { class: 'card-head' }, h('h2', null, 'How the call was routed')), traceBox);
  const qualityBox = h('div');
  const qualityCard = h('section', { class: 'card', hidden: true }, h('div', { class: 'card-head' }, h('h2', null, 'Sound quality')), qualityBox);
  const playerBox = h('div', { class: 'card-pad' });
  const clock = h('span', { class: 'num', testid: 'call-length' });

  fill(page, crumb(), head,
    h('div', { class: 'two' },
      h('div', null, h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Recording')), playerBox), offerCard, traceCard),
      h('div', null, h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Facts')), factBox), qualityCard)));

  let played = null;
  let drawn = null;
  const draw = () => {
    const now = call();
    const text = JSON.stringify(now);
    if (text === drawn) return;
    drawn = text;
    setTitle(`Call with ${contactName(now.contact)}`);
    drawHead(head, now);
    drawFacts(factBox, now, clock);
    offerCard.hidden = (now.offers ?? []).length === 0;
    drawOffers(offerBox, now.offers ?? []);
    drawQuality(qualityCard, qualityBox, now.legs ?? []);
    const wanted = `${now.recording?.state} ${now.state === 'ended'}`;
    if (wanted !== played) {
      played = wanted;
      void showPlayer(playerBox, scope, now);
    }
  };
  const reload = async () => {
    try {
      noteCall(await api.get(`/v1/calls/${id}`, scope.signal));
    } catch { /* what is shown stays; the next event asks again */ }
  };

  draw();
  void drawTrace(traceCard, traceBox, id, scope);
  scope.on('call', (changed) => {
    if (changed.id !== id) return;
    draw();
    if (changed.state === 'ended') void drawTrace(traceCard, traceBox, id, scope);
  });
  scope.on('recording', (data) => { if (data.call_id === id) void reload(); });
  scope.on('agent', () => { drawn = null; draw(); });
  scope.on('resync', reload);
  scope.every(1_000, () => setText(clock, length(call())));
  const timer = setInterval(async () => {
    if (call().state === 'ended') return;
    try {
      const { legs } = await api.get(`/v1/calls/${id}/quality`, scope.signal);
      drawQuality(qualityCard, qualityBox, legs ?? []);
    } catch { /* figures are a courtesy */ }
  }, QUALITY_EVERY_MS);
  scope.add(() => clearInterval(timer));
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

function drawFacts(box, call, clock) {
  setText(clock, length(call));
  fill(box, facts([
    ['Started', whenExactly(call.created_at)],
    ['Answered', call.answered_at && whenExactly(call.answered_at)],
    ['Ended', call.ended_at && whenExactly(call.ended_at)],
    ['Duration', clock],
    ['Agent', agentName(call.agent_id) ?? 'Nobody'],
    ['Business number', h('span', { class: 'num' }, numberOf(call.number_id) ?? call.number_id)],
    ['How it ended', words.endReason(call.end_reason)],
    ['Open again', call.opens_at && whenExactly(call.opens_at)],
    ['Ended by', words.endedBy(call.ended_by)],
    ['Summary', call.summary?.text || '–'],
    ['Call id', h('span', { class: 'mono' }, call.id)],
    ['WhatsApp id', call.wacid && h('span', { class: 'mono' }, call.wacid)],
    ['Callback data', call.callback_data && h('span', { class: 'mono' }, call.callback_data)],
  ]));
}

function drawOffers(box, offers) {
  fill(box, h('div', { class: 'table-wrap', tabindex: 0, role: 'region', ariaLabel: 'Offers' }, h('table', { class: 'stack', ariaLabel: 'Offers' },
    h('thead', null, h('tr', null, ['Agent', 'Offered', 'Outcome', 'Rang'].map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', null, offers.map((offer) => h('tr', null,
      h('td', null, h('strong', null, agentName(offer.agent_id))),
      h('td', { class: 'num nowrap' }, clockTime(offer.offered_at)),
      h('td', null, h('span', null, words.outcome(offer.outcome), offer.cause && h('span', { class: 'dim' }, `, ${words.cause(offer.cause).toLowerCase()}`))),
      h('td', { class: 'num nowrap', data: { label: 'Rang' } }, offer.ended_at ? `${((Date.parse(offer.ended_at) - Date.parse(offer.offered_at)) / 1000).toFixed(1)} s` : '…')))))));
}

async function drawTrace(card, box, id, scope) {
  let trace;
  try {
    ({ trace } = await api.get(`/v1/calls/${id}/trace`, scope.signal));
  } catch {
    return; // the role may not see it, or there was nothing to decide
  }
  if (scope.gone || !trace?.length) return;
  card.hidden = false;
  fill(box, h('ol', { class: 'steps' }, trace.map(({ step, agent_id: agentId, verdict, reason }) => h('li', { data: /^(chosen|offered|candidate|rings?|selected)$/.test(verdict ?? '') ? { chosen: '' } : {} },
    h('span', null, h('strong', null, traceWords(step)), agentId && [' · ', agentName(agentId)], verdict && [' · ', traceWords(verdict)]),
    reason && h('span', { class: 'dim small' }, traceWords(reason))))));
}

function traceWords(text) {
  const known = { assignee: 'Chat assignee', chat_assignee: 'Chat assignee', owner: 'Contact owner', contact_owner: 'Contact owner', round_robin: 'Round robin' };
  if (Object.hasOwn(known, text)) return known[text];
  return /^[a-z_]+$/.test(text ?? '') ? (text[0].toUpperCase() + text.slice(1)).replaceAll('_', ' ') : text;
}

function drawQuality(card, box, legs) {
  const measured = legs.filter((leg) => leg.quality);
  if (measured.length === 0) return;
  card.hidden = false;
  const rows = [
    ['Estimated MOS', ({ mos }) => (mos === null || mos === undefined ? '–' : `${mos.toFixed(1)} · ${mosWords(mos)}`)],
    ['Lost', ({ packets_lost: lost, loss_ratio: ratio }) => `${lost ?? 0} (${((ratio ?? 0) * 100).toFixed(2)} %)`],
    ['Received', ({ packets_received: count }) => (count ?? 0).toLocaleString()],
    ['Jitter', ({ jitter_ms: jitter }) => (jitter === null || jitter === undefined ? '–' : `${Number(jitter).toFixed(1)} ms`)],
    ['Round trip', ({ rtt_ms: rtt }) => (rtt === null || rtt === undefined ? '–' : `${Math.round(rtt)} ms`)],
  ];
  fill(box, h('div', { class: 'table-wrap', tabindex: 0, role: 'region', ariaLabel: 'Sound quality' }, h('table', { ariaLabel: 'Quality per leg' },
    h('thead', null, h('tr', null, h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'Figure')), measured.map((leg) => h('th', { scope: 'col' }, words.leg(leg.kind))))),
    h('tbody', null, rows.map(([name, cell]) => h('tr', null, h('th', { scope: 'row' }, name), measured.map((leg) => h('td', { class: 'num nowrap' }, cell(leg.quality)))))))));
}

/** ITU-T G.107 Annex B, table B.1, in short. */
function mosWords(mos) {
  if (mos >= 4.3) return 'very good';
  if (mos >= 4.0) return 'good';
  if (mos >= 3.6) return 'fair';
  if (mos >= 3.1) return 'poor';
  return 'bad';
}

function length(call) {
  if (!call.answered_at) return '–';
  return duration(call.state === 'ended' ? call.duration_ms : msSince(call.answered_at));
}
