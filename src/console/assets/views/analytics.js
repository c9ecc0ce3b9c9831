// Analytics: counts over the calls that this agent may see, by the clocks of this browser.

import { api, everyItem, query } from '../api.js';
import { setTitle } from '../router.js';
import { agentName, state } from '../state.js';
import { barList, columnChart, figure, heatMap, legend, numbers, walkable } from '../ui/chart.js';
import { dayStart, daysAgo, localDay } from '../ui/days.js';
import { bdi, fill, h, setText } from '../ui/dom.js';
import { LOCALE, countryName, duration, money, words } from '../ui/format.js';
import { empty, failed, skeleton } from '../ui/parts.js';
import { DAYS, dayName } from './voice/draft.js';
import { drawHealth } from './voice/side.js';

const SPANS = { 1: 'Today', 7: '7 days', 30: '30 days', 90: '90 days', days: 'Days…' };
/** As the API has it. */
const DAYS_MAX = 366;
/** More columns than this are drawn by weeks. */
const COLUMNS_MAX = 92;
const PARTS = [{ name: 'Answered', tone: 'go' }, { name: 'Missed', tone: 'stop' }, { name: 'Other', tone: 'dim' }];
const OTHER = 'Other: still ringing, failed, or turned away by hours and switches.';
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
const shortDate = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', timeZone: 'UTC' });

export function analyticsView(root, scope, _parameters, search) {
  setTitle('Analytics');
  const chosen = { days: Object.hasOwn(SPANS, search.get('days')) ? search.get('days') : '7', since: search.get('since'), until: search.get('until'), number_id: search.get('number_id'), team_id: search.get('team_id'), agent_id: search.get('agent_id') };
  const body = h('div', { class: 'stack-gap', ariaBusy: 'true' }, h('div', { class: 'card' }, skeleton(8)));
  const choose = (change) => {
    Object.assign(chosen, change);
    history.replaceState(null, '', query('/analytics', { ...chosen, ...(chosen.days !== 'days' && { since: null, until: null }) }));
    for (const button of filters.querySelectorAll('[data-days]')) button.setAttribute('aria-pressed', String(button.dataset.days === chosen.days));
    named.hidden = chosen.days !== 'days';
    void load();
  };
  const filters = h('div', { class: 'report-filters' });
  const wrong = h('p', { class: 'field-error', id: 'days-wrong', role: 'alert' });
  const day = (name, label) => h('div', { class: 'field' }, h('label', { for: `days-${name}` }, label),
    h('input', { type: 'date', class: 'input', id: `days-${name}`, testid: `days-${name}`, value: chosen[name], max: localDay(new Date()), ariaDescribedBy: 'days-wrong', onchange: (event) => choose({ [name]: event.target.value }) }));
  const named = h('div', { class: 'named-days', hidden: chosen.days !== 'days' }, day('since', 'From'), day('until', 'To'), wrong);
  const sight = state.session.grants?.calls ?? 'own';
  /** Whose calls this agent may see; of the others there is nothing to count. */
  const agents = [...state.agents.values()].filter(({ team_id: team }) => sight === 'all' || (team && team === state.agent.team_id)).sort((a, b) => a.name.localeCompare(b.name));

  function drawFilters(teams) {
    const pick = (name, label, all, options) => h('select', { class: 'select', ariaLabel: label, testid: `filter-${name}`, onchange: (event) => choose({ [name]: event.target.value }) },
      h('option', { value: '' }, all), options.map(([value, shown]) => h('option', { value, selected: chosen[name] === value }, shown)));
    fill(filters,
      h('div', { class: 'seg', role: 'group', ariaLabel: 'Period' }, Object.entries(SPANS).map(([value, label]) => h('button', { type: 'button', testid: `days-${value}`, data: { days: value }, ariaPressed: String(value === chosen.days), onclick: () => choose({ days: value, ...(value === 'days' && !chosen.since && { since: localDay(daysAgo(6)), until: localDay(new Date()) }) }) }, label))),
      named,
      state.numbers.length > 1 && pick('number_id', 'Business number', 'All numbers', state.numbers.map(({ id, display_phone_number: shown }) => [id, shown])),
      teams.length > 1 && pick('team_id', 'Team', 'All teams', teams.map(({ id, name }) => [id, name])),
      sight !== 'own' && pick('agent_id', 'Agent', 'All agents', agents.map(({ id, name }) => [id, name])));
  }

  async function load() {
    const dates = datesOf(chosen);
    setText(wrong, dates.wrong ?? '');
    if (dates.wrong) return;
    for (const name of ['since', 'until']) if (chosen[name]) document.getElementById(`days-${name}`).value = chosen[name];
    const asked = { ...chosen };
    const now = new Date(Math.ceil(Date.now() / 60_000) * 60_000).toISOString();
    const end = dayStart(dates.last, 1);
    const span = { from: dayStart(dates.first), to: end < now ? end : now, number_id: chosen.number_id, team_id: chosen.team_id, agent_id: chosen.agent_id, time_zone: zone };
    const of = (name) => api.get(query(`/v1/reports/${name}`, span), scope.signal);
    try {
      const healths = state.numbers.filter(({ id }) => !chosen.number_id || id === chosen.number_id).map((number) => healthOf(number, scope.signal));
      const [calls, agents, permissions, costs, ...health] = await Promise.all([of('calls'), of('agents'), of('permissions'), state.session.grants?.wallet ? of('costs') : null, ...healths]);
      if (Object.keys(asked).some((key) => asked[key] !== chosen[key])) return; // something else was chosen meanwhile
      draw(body, { calls, agents, permissions, costs, health: health.filter(Boolean), dates: dates.all });
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

function draw(body, { calls, agents, permissions, costs, health, dates }) {
  const all = calls.inbound.calls + calls.outbound.calls;
  fill(body, headline(calls),
    all === 0
      ? h('div', { class: 'card' }, empty('chart', 'No calls in this time', 'Choose a longer time, or fewer filters.'))
      : [h('div', { class: 'charts' }, byDay(calls, dates), missed(calls)), byHour(calls), agents.items.length > 0 && load(agents.items)],
    h('div', { class: 'charts' }, funnel(permissions.steps), costs && byCountry(costs.items)),
    health.length > 0 && h('div', { class: 'charts' }, health.map(risk)));
}

function headline({ inbound, outbound, answer_speed: speed }) {
  const rate = ({ answered, missed: lost }) => (answered + lost > 0 ? `${Math.round((100 * answered) / (answered + lost))} %` : '–');
  const wait = (ms) => (ms === null ? '–' : ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s` : duration(ms));
  const tile = (testid, label, value, note) => h('div', { class: 'report-tile', testid }, h('span', { class: 'label' }, label), h('strong', { class: 'num' }, value), h('span', { class: 'dim small' }, note));
  return h('section', { class: 'report-tiles', ariaLabel: 'In short' },
    tile('tile-calls', 'Calls', String(inbound.calls + outbound.calls), `${inbound.calls} incoming, ${outbound.calls} outbound`),
    tile('tile-rate', 'Answer rate', rate(inbound), `${inbound.answered} answered, ${inbound.missed} missed`),
    tile('tile-speed', 'Speed of answer', wait(speed.p50_ms), speed.calls > 0 ? `half within this; 9 in 10 within ${wait(speed.p90_ms)}` : 'no call was answered'),
    tile('tile-reached', 'Customers reached', rate(outbound), `${outbound.answered} of ${outbound.calls} outbound`),
    tile('tile-talk', 'Talk time', duration(inbound.talk_ms + outbound.talk_ms), 'both directions'));
}

function byDay({ by_day: found }, dates) {
  const known = new Map(found.map((day) => [day.date, day]));
  const weekly = dates.length > COLUMNS_MAX;
  const spans = weekly ? weeks(dates) : dates.map((date) => [date]);
  const rows = spans.map((days) => {
    const counted = (direction, part) => days.reduce((all, date) => all + (known.get(date)?.[direction][part] ?? 0), 0);
    const [inbound, outbound] = [counted('inbound', 'calls'), counted('outbound', 'calls')];
    const [answered, lost] = ['answered', 'missed'].map((part) => counted('inbound', part) + counted('outbound', part));
    return { label: shortDate.format(new Date(days[0])), inbound, outbound, values: [answered, lost, inbound + outbound - answered - lost] };
  });
  const title = weekly ? 'Calls by week' : 'Calls by day';
  return figure({
    title, testid: 'chart-days',
    picture: [legend(PARTS), walkable(columnChart({ label: `${title}, answered and missed. The table below has the figures.`, parts: PARTS, columns: rows }), title)],
    say: OTHER,
    head: [weekly ? 'Week from' : 'Day', 'Incoming', 'Outbound', ...PARTS.map(({ name }) => name)],
    rows: rows.map(({ label, inbound, outbound, values }) => [label, inbound, outbound, ...values]),
  });
}

function weeks(dates) {
  return Array.from({ length: Math.ceil(dates.length / 7) }, (_, i) => dates.slice(7 * i, 7 * i + 7));
}

function byHour({ by_hour: found }) {
  const cells = new Map(found.map((cell) => [`${cell.weekday} ${cell.hour}`, cell]));
  const at = (day, hour) => cells.get(`${DAYS[day]} ${hour}`);
  const busiest = found.reduce((most, cell) => (most === null || cell.calls > most.calls ? cell : most), null);
  const span = (hour) => `${String(hour).padStart(2, '0')}:00`;
  return figure({
    title: 'When calls come', testid: 'chart-hours',
    picture: walkable(heatMap({ label: 'Calls by day of the week and hour. The table below has the figures.', days: DAYS.map((day) => dayName(day).slice(0, 3)), value: (day, hour) => at(day, hour)?.calls ?? 0, title: (day, hour) => `${dayName(DAYS[day])} ${span(hour)}: ${at(day, hour)?.calls ?? 0} calls, ${at(day, hour)?.missed ?? 0} missed` }), 'When calls come'),
    say: busiest && `Busiest: ${dayName(busiest.weekday)} at ${span(busiest.hour)}, ${busiest.calls} ${busiest.calls === 1 ? 'call' : 'calls'}.`,
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
    say: any && 'Each line counts customers to whom this happened in these days. It is no share of those asked: customers also agree by calling, or from your business profile, and some were asked earlier.',
    head: ['Step', 'Customers', 'Times'], rows: any ? steps.map((step) => [name(step), step.customers, step.times]) : [],
  });
}

/** How WhatsApp may look at a number: it restricts those whose calls too few take. */
function risk({ number, told }) {
  const element = h('section', { class: 'card chart', testid: 'chart-risk', data: { stage: told.stage } });
  drawHealth(element, told, ['Pickup and Meta’s risk', `All of ${number.display_phone_number}`]);
  return element;
}

/** A number that has no figures leaves the others theirs. */
async function healthOf(number, signal) {
  try {
    return { number, told: await api.get(`/v1/numbers/${encodeURIComponent(number.id)}/health`, signal) };
  } catch {
    return null;
  }
}

/** The days to count: `{ first, last, all }`, or `{ wrong }` with what is to be mended. */
function datesOf({ days, since, until }) {
  if (days !== 'days') return between(localDay(daysAgo(Number(days) - 1)), localDay(new Date()));
  if (!dayStart(since) || !dayStart(until)) return { wrong: 'Choose both days.' };
  if (since > localDay(new Date())) return { wrong: 'The first day is still to come.' };
  if (until < since) return { wrong: 'The last day is before the first: swap them.' };
  const found = between(since, until);
  return found.all.length > DAYS_MAX ? { wrong: `Choose ${DAYS_MAX} days at most.` } : found;
}

function between(first, last) {
  const all = [];
  for (let i = 0; all.at(-1) !== last && i <= DAYS_MAX; i += 1) all.push(localDay(new Date(dayStart(first, i))));
  return { first, last, all };
}
