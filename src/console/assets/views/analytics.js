// Analytics: counts over the calls that this agent may see, by the clocks of this browser.

import { api, everyItem, query } from '../api.js';
import { setTitle } from '../router.js';
import { agentName, state } from '../state.js';
import { barList, columnChart, figure, heatMap, legend, numbers } from '../ui/chart.js';
import { bdi, fill, h } from '../ui/dom.js';
import { countryName, duration, money, words } from '../ui/format.js';
import { empty, failed, skeleton } from '../ui/parts.js';
import { DAYS, dayName } from './voice/draft.js';

const SPANS = { 1: 'Today', 7: '7 days', 30: '30 days', 90: '90 days' };
const PARTS = [{ name: 'Answered', tone: 'go' }, { name: 'Missed', tone: 'stop' }, { name: 'Other', tone: 'dim' }];
const OTHER = 'Other: still ringing, failed, or turned away by hours and switches.';
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
const shortDate = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });

export function analyticsView(root, scope, _parameters, search) {
  setTitle('Analytics');
  const chosen = { days: Object.hasOwn(SPANS, search.get('days')) ? search.get('days') : '7', number_id: search.get('number_id'), team_id: search.get('team_id'), agent_id: search.get('agent_id') };
  const body = h('div', { class: 'stack-gap', ariaBusy: 'true' }, h('div', { class: 'card' }, skeleton(8)));
  const choose = (change) => {
    Object.assign(chosen, change);
    history.replaceState(null, '', query('/analytics', chosen));
    for (const button of filters.querySelectorAll('[data-days]')) button.setAttribute('aria-pressed', String(button.dataset.days === chosen.days));
    void load();
  };
  const filters = h('div', { class: 'report-filters' });
  const sight = state.session.grants?.calls ?? 'own';
  /** Whose calls this agent may see; of the others there is nothing to count. */
  const agents = [...state.agents.values()].filter(({ team_id: team }) => sight === 'all' || (team && team === state.agent.team_id)).sort((a, b) => a.name.localeCompare(b.name));

  function drawFilters(teams) {
    const pick = (name, label, all, options) => h('select', { class: 'select', ariaLabel: label, testid: `filter-${name}`, onchange: (event) => choose({ [name]: event.target.value }) },
      h('option', { value: '' }, all), options.map(([value, shown]) => h('option', { value, selected: chosen[name] === value }, shown)));
    fill(filters,
      h('div', { class: 'seg', role: 'group', ariaLabel: 'Period' }, Object.entries(SPANS).map(([value, label]) => h('button', { type: 'button', testid: `days-${value}`, data: { days: value }, ariaPressed: String(value === chosen.days), onclick: () => choose({ days: value }) }, label))),
      state.numbers.length > 1 && pick('number_id', 'Business number', 'All numbers', state.numbers.map(({ id, display_phone_number: shown }) => [id, shown])),
      teams.length > 1 && pick('team_id', 'Team', 'All teams', teams.map(({ id, name }) => [id, name])),
      sight !== 'own' && pick('agent_id', 'Agent', 'All agents', agents.map(({ id, name }) => [id, name])));
  }

  async function load() {
    const days = Number(chosen.days);
    const asked = { ...chosen };
    const span = { from: daysAgo(days - 1).toISOString(), to: new Date(Math.ceil(Date.now() / 60_000) * 60_000).toISOString(), number_id: chosen.number_id, team_id: chosen.team_id, agent_id: chosen.agent_id, time_zone: zone };
    const of = (name) => api.get(query(`/v1/reports/${name}`, span), scope.signal);
    try {
      const [calls, agents, permissions, costs] = await Promise.all([of('calls'), of('agents'), of('permissions'), state.session.grants?.wallet ? of('costs') : null]);
      if (Object.keys(asked).some((key) => asked[key] !== chosen[key])) return; // something else was chosen meanwhile
      draw(body, { calls, agents, permissions, costs, days });
      body.removeAttribute('aria-busy');
    } catch (error) {
      if (!scope.gone) fill(body, h('div', { class: 'card' }, failed(error, load)));
    }
  }

  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Analytics'), h('div', { class: 'row' }, h('span', { class: 'dim small' }, zone.replaceAll('_', ' ')), h('button', { type: 'button', class: 'btn btn-s', testid: 'reload-figures', onclick: load }, 'Refresh'))),
    filters, body));
  drawFilters([]);
  if (sight === 'all') everyItem('/v1/teams').then((teams) => { if (!scope.gone) drawFilters(teams); }, () => {});
  void load();
}

function draw(body, { calls, agents, permissions, costs, days }) {
  const all = calls.inbound.calls + calls.outbound.calls;
  fill(body, headline(calls),
    all === 0
      ? h('div', { class: 'card' }, empty('chart', 'No calls in this time', 'Choose a longer time, or fewer filters.'))
      : [h('div', { class: 'charts' }, byDay(calls, days), missed(calls)), byHour(calls), agents.items.length > 0 && load(agents.items)],
    h('div', { class: 'charts' }, funnel(permissions.steps), costs && byCountry(costs.items)));
}

function headline({ inbound, outbound, answer_speed: speed }) {
  const rate = ({ answered, missed: lost }) => (answered + lost > 0 ? `${Math.round((100 * answered) / (answered + lost))} %` : '–');
  const wait = (ms) => (ms === null ? '–' : ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s` : duration(ms));
  const tile = (testid, label, value, note) => h('div', { class: 'report-tile', testid }, h('span', { class: 'label' }, label), h('strong', { class: 'num' }, value), h('span', { class: 'dim small' }, note));
  return h('section', { class: 'report-tiles', ariaLabel: 'In short' },
    tile('tile-calls', 'Calls', String(inbound.calls + outbound.calls), `${inbound.calls} incoming, ${outbound.calls} outbound`),
    tile('tile-rate', 'Answer rate', rate(inbound), `${inbound.answered} answered, ${inbound.missed} missed`),
    tile('tile-speed', 'Speed of answer', wait(speed.p50_ms), speed.calls > 0 ? `half of the calls; 9 in 10 within ${wait(speed.p90_ms)}` : 'no call was answered'),
    tile('tile-reached', 'Customers reached', rate(outbound), `${outbound.answered} of ${outbound.calls} outbound`),
    tile('tile-talk', 'Talk time', duration(inbound.talk_ms + outbound.talk_ms), 'both directions'));
}

function byDay({ by_day: found }, days) {
  const known = new Map(found.map((day) => [day.date, day]));
  const none = { calls: 0, answered: 0, missed: 0 };
  const dates = Array.from({ length: days }, (_, i) => localDate(daysAgo(days - 1 - i)));
  const rows = dates.map((date) => {
    const { inbound, outbound } = known.get(date) ?? { inbound: none, outbound: none };
    const [answered, lost, every] = ['answered', 'missed', 'calls'].map((part) => inbound[part] + outbound[part]);
    return { date, inbound, outbound, values: [answered, lost, every - answered - lost] };
  });
  return figure({
    title: 'Calls by day', testid: 'chart-days',
    picture: [legend(PARTS), columnChart({ label: 'Calls by day, answered and missed. The table below has the figures.', parts: PARTS, columns: rows.map(({ date, values }) => ({ label: shortDate.format(new Date(date)), values })) })],
    say: OTHER,
    head: ['Day', 'Incoming', 'Outbound', ...PARTS.map(({ name }) => name)],
    rows: rows.map(({ date, inbound, outbound, values }) => [shortDate.format(new Date(date)), inbound.calls, outbound.calls, ...values]),
  });
}

function byHour({ by_hour: found }) {
  const cells = new Map(found.map((cell) => [`${cell.weekday} ${cell.hour}`, cell]));
  const at = (day, hour) => cells.get(`${DAYS[day]} ${hour}`);
  const busiest = found.reduce((most, cell) => (most === null || cell.calls > most.calls ? cell : most), null);
  const span = (hour) => `${String(hour).padStart(2, '0')}:00`;
  return figure({
    title: 'When calls come', testid: 'chart-hours',
    picture: h('div', { class: 'scroll', tabindex: 0, role: 'group', ariaLabel: 'When calls come' }, heatMap({ label: 'Calls by day of the week and hour. The table below has the figures.', days: DAYS.map((day) => dayName(day).slice(0, 3)), value: (day, hour) => at(day, hour)?.calls ?? 0, title: (day, hour) => `${dayName(DAYS[day])} ${span(hour)}: ${at(day, hour)?.calls ?? 0} calls, ${at(day, hour)?.missed ?? 0} missed` })),
    say: busiest && `Busiest: ${dayName(busiest.weekday)} at ${span(busiest.hour)}, ${busiest.calls} calls.`,
    head: ['Hour', 'Calls', 'Answered', 'Missed'],
    rows: found.map((cell) => [`${dayName(cell.weekday)} ${span(cell.hour)}`, cell.calls, cell.answered, cell.missed]),
  });
}

function missed({ missed_by_reason: reasons }) {
  const name = ({ end_reason: reason, direction }) => `${words.endReason(reason)}${direction === 'business_initiated' ? ' (outbound)' : ''}`;
  return figure({
    title: 'Why calls were missed', testid: 'chart-missed',
    picture: reasons.length > 0 ? barList({ testid: 'missed-reasons', rows: reasons.map((reason) => ({ name: name(reason), value: reason.calls, tone: 'stop' })) }) : h('p', { class: 'dim' }, 'No call was missed.'),
    head: ['Reason', 'Calls'], rows: reasons.map((reason) => [name(reason), reason.calls]),
  });
}

function byCountry(items) {
  const name = ({ country }) => (country ? countryName(country) : 'No country');
  return figure({
    title: 'Cost by country', testid: 'chart-costs',
    picture: items.length > 0 ? barList({ testid: 'costs', rows: items.map((item) => ({ name: name(item), value: item.micros, shown: money(item.micros, item.currency) })) }) : h('p', { class: 'dim' }, 'Nothing was charged.'),
    say: items.length > 0 && 'Outbound calls only; incoming ones are free.',
    head: ['Country', 'Calls', 'Talk time', 'Cost'], rows: items.map((item) => [name(item), item.calls, duration(item.talk_ms), money(item.micros, item.currency)]),
  });
}

function load(items) {
  const rows = [...items].sort((a, b) => b.talk_ms - a.talk_ms);
  const picture = barList({ testid: 'agent-load', rows: rows.map((row) => ({ name: bdi(agentName(row.agent_id)), value: row.talk_ms, shown: duration(row.talk_ms) })) });
  return h('section', { class: 'card chart', testid: 'chart-agents' }, h('div', { class: 'card-head' }, h('h2', null, 'Agents’ load'), h('span', { class: 'dim small' }, 'Talk time')),
    h('div', { class: 'card-pad' }, picture, numbers('Agents’ load', ['Agent', 'Taken', 'Placed', 'Reached', 'Rang', 'Missed', 'Talk', 'Ringing', 'Wrap-up'],
      rows.map((row) => [bdi(agentName(row.agent_id)), row.taken, row.placed, row.reached, row.offers, row.missed, duration(row.talk_ms), duration(row.ring_ms), duration(row.wrap_up_ms)]))));
}

const STEPS = {
  requested: ['Asked', 'info'], granted_temporary: ['Agreed for a week', 'go'], granted_permanent: ['Agreed until further notice', 'go'],
  declined: ['Declined', 'stop'], used: ['Called and reached', 'accent'], revoked: ['Lost again', 'stop'],
};

function funnel(steps) {
  const name = ({ step }) => (STEPS[step] ?? [words.plain(step)])[0];
  const any = steps.some(({ times }) => times > 0);
  return figure({
    title: 'Permissions', testid: 'chart-permissions', aside: 'Customers',
    picture: any ? barList({ testid: 'funnel', rows: steps.map((step) => ({ name: name(step), value: step.customers, tone: (STEPS[step.step] ?? [, 'accent'])[1] })) }) : h('p', { class: 'dim' }, 'Nobody was asked, and nobody decided.'),
    say: any && 'Customers also agree by calling, or from your business profile, without being asked.',
    head: ['Step', 'Customers', 'Times'], rows: any ? steps.map((step) => [name(step), step.customers, step.times]) : [],
  });
}

/** Midnight here, so many days ago. */
function daysAgo(days) {
  const date = new Date();
  date.setHours(0, 0, 0, 0);
  date.setDate(date.getDate() - days);
  return date;
}

function localDate(date) {
  const two = (n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
