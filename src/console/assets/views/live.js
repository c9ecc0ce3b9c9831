// Live: who waits, who talks, and who could take the next call, for those who see more than their own calls.

import { api, everyItem, query } from '../api.js';
import { msSince, serverNow } from '../clock.js';
import { CHECKS } from '../readiness.js';
import { setTitle } from '../router.js';
import { agentName, isDialling, isTalking, noteCall, state } from '../state.js';
import { bdi, fill, h, icon, setText } from '../ui/dom.js';
import { alarmNews, contactName, contactNumber, duration, words } from '../ui/format.js';
import { avatar, directionMark, empty, failed, skeleton } from '../ui/parts.js';

/** Several events of one call arrive together. */
const GATHER_MS = 200;
/** Today's figures are counts over many calls: asked for at most this often. */
const FIGURES_MS = 5_000;
/** A call that nobody has taken for so long stands out. */
const LONG_WAIT_MS = 15_000;
/** In this order they stand on the wall. */
const DEEDS = ['talking', 'ringing', 'writing', 'unready', 'free', 'offline'];

export function liveView(root, scope) {
  const sight = state.session.grants?.calls ?? 'own';
  if (sight === 'own') {
    setTitle('Not for your role');
    fill(root, h('div', { class: 'page' }, h('h1', { tabindex: -1 }, 'Not for your role'),
      h('div', { class: 'card' }, empty('lock', 'Your role sees its own calls', 'They are under Calls. Live shows those of a team.'))));
    return;
  }
  setTitle('Live');
  const tiles = h('section', { class: 'report-tiles', ariaLabel: 'Now and today' });
  const calls = h('div', null, skeleton(3));
  const people = h('div', { class: 'card-pad' }, skeleton(3));
  /** call id → leg and kind of what is wrong with its sound */
  const alarms = new Map();
  const clocks = new Set();
  let figures = null;

  const board = h('div', { class: 'page live' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Live'),
      document.fullscreenEnabled && h('button', { type: 'button', class: 'btn btn-s', testid: 'wall', onclick: () => (document.fullscreenElement ? document.exitFullscreen() : board.requestFullscreen()) }, icon('wall', 'icon-s'), 'On the wall')),
    tiles,
    h('section', { class: 'card', ariaLabelledBy: 'live-calls' }, h('div', { class: 'card-head' }, h('h2', { id: 'live-calls' }, 'Calls now')), calls),
    h('section', { class: 'card', ariaLabelledBy: 'live-agents' }, h('div', { class: 'card-head' }, h('h2', { id: 'live-agents' }, 'Agents')), people));
  fill(root, board);

  /** The calls that run or wait, the longest wait first. */
  function running() {
    const now = [...state.calls.values()].filter((call) => call.status === 'Ringing' || call.status === 'Ongoing');
    return now.sort((a, b) => Number(Boolean(a.answered_at)) - Number(Boolean(b.answered_at)) || a.created_at.localeCompare(b.created_at));
  }

  function clock(since, alertMs = Infinity) {
    const element = h('span', { class: 'num live-clock' });
    const tick = () => {
      const ms = msSince(since);
      setText(element, duration(ms));
      if (ms > alertMs) element.dataset.tone = 'stop';
    };
    tick();
    clocks.add(tick);
    return element;
  }

  /** Whoever writes up a call is free when its time is over. */
  function countdown(until) {
    const element = h('span', { class: 'num live-clock' });
    const tick = () => {
      const ms = Date.parse(until) - serverNow();
      setText(element, duration(Math.max(0, ms) + 999));
      if (ms <= 0) drawSoon();
    };
    tick();
    clocks.add(tick);
    return element;
  }

  function draw() {
    clocks.clear();
    const now = running();
    const waiting = now.filter((call) => call.direction === 'user_initiated' && !call.answered_at);
    const agents = [...state.agents.values()].filter(({ id, team_id: team }) => sight === 'all' || id === state.agent.id || (team && team === state.agent.team_id));
    const doing = agents.map((agent) => ({ agent, ...deedOf(agent, now) }))
      .sort((a, b) => DEEDS.indexOf(a.deed) - DEEDS.indexOf(b.deed) || a.agent.name.localeCompare(b.agent.name));
    const count = (deed) => doing.filter((each) => each.deed === deed).length;
    const online = doing.length - count('offline');

    fill(tiles,
      tile('waiting', 'Waiting', waiting.length, waiting.length > 0 ? ['longest ', clock(waiting[0].created_at, LONG_WAIT_MS)] : 'nobody waits'),
      tile('talking', 'In a call', now.filter((call) => call.answered_at).length, 'customers being spoken to'),
      tile('free', 'Free agents', count('free'), `${online} of ${doing.length} online`),
      tile('answered', 'Answered today', share(figures), figures ? `${figures.inbound.answered} answered, ${figures.inbound.missed} missed` : 'of customers’ calls'),
      tile('speed', 'Speed of answer', figures?.answer_speed.p50_ms == null ? '–' : `${(figures.answer_speed.p50_ms / 1000).toFixed(1)} s`, 'half of today’s calls'));

    fill(calls, now.length === 0
      ? empty('phone', 'No call at the moment', 'Calls stand here from the first ring to the last word.')
      : h('ul', { class: 'rows', testid: 'live-calls' }, now.map((call) => callRow(call, clock, [...(alarms.get(call.id)?.values() ?? [])]))));

    fill(people, doing.length === 0
      ? empty('contacts', 'No agents', 'Agents of your team stand here.')
      : h('ul', { class: 'live-agents', testid: 'live-agents' }, doing.map((each) => agentCard(each, clock, countdown))));
  }

  async function load() {
    try {
      const [agents, ongoing, ringing] = await Promise.all([
        everyItem('/v1/agents'),
        api.get(query('/v1/calls', { status: 'Ongoing', limit: 200 }), scope.signal),
        api.get(query('/v1/calls', { status: 'Ringing', limit: 200 }), scope.signal),
      ]);
      if (scope.gone) return;
      state.agents = new Map(agents.map((agent) => [agent.id, agent]));
      for (const call of [...ongoing.items, ...ringing.items]) noteCall(call);
      draw();
    } catch (error) {
      if (scope.gone) return;
      fill(calls, failed(error, load));
      fill(people, empty('warn', 'Not known', 'The gateway did not answer.'));
    }
  }

  async function count() {
    const midnight = new Date();
    midnight.setHours(0, 0, 0, 0);
    try {
      figures = await api.get(query('/v1/reports/calls', { from: midnight.toISOString(), to: new Date(Date.now() + 60_000).toISOString() }), scope.signal);
      drawSoon();
    } catch (error) {
      if (!scope.gone) console.warn('Today was not counted', error.message);
    }
  }

  const drawSoon = scope.gathered(GATHER_MS, draw);
  const countSoon = scope.gathered(FIGURES_MS, count);
  scope.on('call', (call) => {
    if (call.state === 'ended') alarms.delete(call.id);
    drawSoon();
    countSoon();
  });
  scope.on('alarm', ({ callId, kind, leg, on }) => {
    const of = alarms.get(callId) ?? new Map();
    if (on) of.set(`${leg} ${kind}`, { kind, leg });
    else of.delete(`${leg} ${kind}`);
    alarms.set(callId, of);
    drawSoon();
  });
  for (const topic of ['colleague', 'people', 'agent']) scope.on(topic, drawSoon);
  scope.on('resync', load);
  scope.every(1_000, () => clocks.forEach((tick) => tick()));
  void load();
  void count();
}

/** What an agent does: `{ deed, text, since?, until? }`. */
function deedOf(agent, calls) {
  const talks = calls.find((call) => call.agent_id === agent.id && (isTalking(call) || isDialling(call)));
  if (talks) {
    const customer = contactName(talks.contact);
    const text = talks.state === 'held' ? `${customer} on hold` : talks.answered_at ? `Talks to ${customer}` : `Calls ${customer}`;
    return { deed: 'talking', text, since: talks.answered_at ?? talks.created_at };
  }
  const rung = calls.find((call) => call.offers.some((offer) => offer.agent_id === agent.id && offer.outcome === 'pending'));
  if (rung) return { deed: 'ringing', text: `${contactName(rung.contact)} rings`, since: rung.offers.findLast((offer) => offer.agent_id === agent.id).offered_at };
  if (agent.status !== 'online') return { deed: 'offline', text: 'Offline' };
  if (agent.passed_over?.cause === 'not_shown') return { deed: 'unready', text: 'Online, but the console showed no call', since: agent.passed_over.since };
  const lacking = Object.keys(CHECKS).filter((check) => agent.readiness?.[check] === 'failed').map((check) => CHECKS[check].toLowerCase());
  if (lacking.length > 0) return { deed: 'unready', text: `Online, but not ready: ${lacking.join(', ')}` };
  if (Date.parse(agent.wrap_up_until ?? '') > serverNow()) return { deed: 'writing', text: 'Writes up the last call', until: agent.wrap_up_until };
  return { deed: 'free', text: agent.excluded ? 'Free, not in the round robin' : 'Free' };
}

const TONES = { talking: 'info', ringing: 'warn', writing: 'busy', unready: 'stop', free: 'go', offline: '' };

function agentCard({ agent, deed, text, since, until }, clock, countdown) {
  return h('li', { class: 'live-agent', data: { agentId: agent.id, deed } }, avatar(agent),
    h('div', null, h('strong', null, bdi(agent.name)),
      h('span', { class: 'live-deed' }, h('span', { class: 'lamp', data: { tone: TONES[deed] } }), h('span', null, text))),
    since && clock(since), until && countdown(until));
}

function callRow(call, clock, alarms) {
  const asks = call.offers.filter((offer) => offer.outcome === 'pending').map((offer) => agentName(offer.agent_id));
  const who = call.answered_at || call.direction === 'business_initiated'
    ? agentName(call.agent_id) ?? 'Nobody'
    : asks.length > 0 ? `Rings at ${asks.join(', ')}` : 'Looks for an agent';
  const tried = call.offers.filter((offer) => offer.outcome !== 'pending' && offer.outcome !== 'accepted');
  return h('li', { data: { callId: call.id, status: call.status } },
    h('div', { class: 'who' }, directionMark(call),
      h('div', null, h('a', { href: `/calls/${call.id}` }, bdi(contactName(call.contact))), h('span', { class: 'num' }, bdi(contactNumber(call.contact))))),
    h('div', { class: 'live-with' }, h('strong', null, who),
      tried.length > 0 && !call.answered_at && h('span', { class: 'dim small' }, `before: ${tried.map((offer) => `${agentName(offer.agent_id)} (${words.cause(offer.cause) ?? 'passed on'})`).join(', ')}`),
      alarms.map(({ kind, leg }) => h('span', { class: 'live-alarm' }, icon('warn', 'icon-s'), alarmNews(kind, leg)))),
    call.answered_at ? clock(call.answered_at) : clock(call.created_at, LONG_WAIT_MS));
}

function tile(testid, label, value, note) {
  return h('div', { class: 'report-tile', testid: `live-${testid}` }, h('span', { class: 'label' }, label), h('strong', { class: 'num' }, String(value)), h('span', { class: 'dim small' }, note));
}

function share(figures) {
  const of = figures ? figures.inbound.answered + figures.inbound.missed : 0;
  return of > 0 ? `${Math.round((100 * figures.inbound.answered) / of)} %` : '–';
}
