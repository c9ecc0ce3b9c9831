// What narrows a list of Call Management. The address is the only place where it is kept: a narrowed list can
// be linked, bookmarked and reloaded.

import { api, everyItem } from '../api.js';
import { state } from '../state.js';
import { dayStart, daysAgo, shownDay } from './days.js';
import { fill, h, icon } from './dom.js';
import { words } from './format.js';

const STATUSES = ['Ringing', 'Ongoing', 'Completed', 'Missed by Agent', 'Missed by Customer', 'Rejected by Customer', 'Failed', 'Business unavailable'];
/** What calls of a section can have become; the others hold any. */
const OF_SECTION = {
  received: ['Ongoing', 'Completed'],
  outbound: ['Ringing', 'Ongoing', 'Completed'],
  missed: ['Missed by Agent', 'Missed by Customer', 'Rejected by Customer'],
};
/** Typing is let come to rest. */
const TYPED_MS = 300;
/** As they stand in the address, in the order of the form. */
const NAMES = ['text', 'days', 'since', 'until', 'direction', 'status', 'agent_id', 'team_id', 'number_id', 'disposition', 'tag', 'recorded', 'talked'];
const PERIODS = { 1: 'Today', 7: 'Last 7 days', 30: 'Last 30 days', 90: 'Last 90 days' };
const RECORDED = { true: 'With a recording', false: 'Without a recording' };
/** "from-below" in milliseconds; an end may be open. */
const TALKED = { '-60000': 'Under 1 min', '60000-300000': '1 to 5 min', '300000-900000': '5 to 15 min', '900000-': '15 min and longer' };
/** Days, either counted back from today or by name. */
const NAMED_DAYS = ['since', 'until'];

/** What a value must be; an address may be cut or made up. */
const FITS = {
  days: (value) => /^[1-9]\d{0,2}$/.test(value),
  since: (value) => dayStart(value) !== null,
  until: (value) => dayStart(value) !== null,
  direction: (value) => ['user_initiated', 'business_initiated'].includes(value),
  recorded: (value) => Object.hasOwn(RECORDED, value),
  talked: (value) => /^(\d+-\d*|-\d+)$/.test(value),
};

/** What a list can be narrowed by, which statuses it knows, and what its search looks in. `one`: it is always of one number. */
export const CALLS = { names: NAMES, statuses: STATUSES.map((status) => [status, status]), looksIn: 'name, number, or words that were said' };
export const PERMISSIONS = {
  names: ['text', 'status', 'agent_id', 'number_id'],
  statuses: ['requested', 'temporary', 'permanent', 'rejected', 'expired', 'revoked', 'none'].map((status) => [status, words.permission(status)]),
  looksIn: 'name or number',
  one: true,
};

/** Calls of a section are narrowed like all calls, by the statuses that they can have. */
export const callsOf = (section) => ({ ...CALLS, statuses: CALLS.statuses.filter(([status]) => OF_SECTION[section]?.includes(status) ?? true) });

/** Reads the address: `{ name: value }`, only known names with a value that fits. */
export function readFilters(search, { names, statuses }) {
  const fits = { ...FITS, status: (value) => statuses.some(([status]) => status === value) };
  return Object.fromEntries(names.map((name) => [name, search.get(name)?.trim()]).filter(([name, value]) => value && (fits[name]?.(value) ?? true)));
}

/** What the API is asked with: days become moments of this browser's time zone, the last one included. */
export function asQuery({ days, since, until, talked, ...rest }) {
  const back = Number(days) > 0 ? Math.min(Number(days), 366) : null;
  return { ...rest, ...between(talked), from: back ? daysAgo(back - 1).toISOString() : dayStart(since), to: back ? null : dayStart(until, 1) };
}

/** As the gateway keeps them in a view. */
export function asSaved({ days, recorded, talked, ...rest }) {
  return { ...rest, ...between(talked), ...(days && { days: Number(days) }), ...(recorded && { recorded: recorded === 'true' }) };
}

/** Back from a view, in the order of the address. */
export function fromSaved({ talked_ms_min: least, talked_ms_below: below, ...rest }) {
  const found = { ...rest, talked: least === undefined && below === undefined ? null : `${least ?? ''}-${below ?? ''}` };
  return Object.fromEntries(NAMES.filter((name) => found[name] !== undefined && found[name] !== null).map((name) => [name, String(found[name])]));
}

function between(talked) {
  const [, least, below] = /^(\d*)-(\d*)$/.exec(talked ?? '') ?? [];
  return { ...(least && { talked_ms_min: Number(least) }), ...(below && { talked_ms_below: Number(below) }) };
}

/**
 * The bar of a list: search, a button that opens the rest, and a chip for each filter in force.
 * `tools` stand at its end; `onChange(filters)` is called when somebody changes something.
 */
export function filterBar(scope, kind, filters, tools, onChange) {
  let now = { ...filters };
  const fields = h('div', { class: 'filters', id: 'filters', testid: 'filters', hidden: true });
  const chips = h('ul', { class: 'filter-chips', testid: 'filter-chips', ariaLabel: 'Filters in force' });
  const count = h('span');
  const toggle = h('button', { type: 'button', class: 'btn', testid: 'filters-open', ariaExpanded: false, ariaControls: 'filters', onclick: open }, icon('filter'), 'Filters', count);
  const text = h('input', { type: 'search', class: 'input', testid: 'filter-text', value: now.text ?? '', placeholder: kind.looksIn[0].toUpperCase() + kind.looksIn.slice(1), ariaLabel: `Search ${kind.looksIn}`, maxlength: 200, autocomplete: 'off' });
  let typed = null;
  text.addEventListener('input', () => {
    clearTimeout(typed);
    typed = setTimeout(() => set('text', text.value.trim()), TYPED_MS);
  });
  scope.add(() => clearTimeout(typed));

  const controls = new Map();
  let lists = {};
  const names = {
    days: ['Period', (days) => PERIODS[days] ?? `Last ${days} days`],
    since: ['From', shownDay],
    until: ['To', shownDay],
    direction: ['Type', words.direction],
    status: ['Status', (status) => kind.statuses.find(([known]) => known === status)?.[1] ?? status],
    agent_id: ['Agent', (id) => state.agents.get(id)?.name ?? id],
    team_id: ['Team', (id) => lists.teams?.find((team) => team.id === id)?.name ?? id],
    number_id: ['Number', (id) => state.numbers.find((number) => number.id === id)?.display_phone_number ?? id],
    disposition: ['Disposition', (word) => word],
    tag: ['Tag', (tag) => tag],
    recorded: ['Recording', (recorded) => RECORDED[recorded] ?? recorded],
    talked: ['Talked', (talked) => TALKED[talked] ?? talked],
  };

  function open() {
    fields.hidden = !fields.hidden;
    toggle.setAttribute('aria-expanded', String(!fields.hidden));
    if (!fields.hidden) fields.querySelector('input, select')?.focus();
  }

  function set(name, value) {
    if ((now[name] ?? '') === value) return;
    const gone = value && name === 'days' ? NAMED_DAYS : value && NAMED_DAYS.includes(name) ? ['days'] : [];
    now = { ...now, [name]: value };
    for (const other of value ? gone : [name]) delete now[other];
    now = Object.fromEntries(NAMES.filter((known) => now[known]).map((known) => [known, now[known]])); // one order, one address
    for (const changed of [name, ...gone]) if (controls.has(changed)) controls.get(changed).value = now[changed] ?? '';
    if (name === 'text' && text.value.trim() !== value) text.value = value;
    drawChips();
    onChange({ ...now });
  }

  function clear() {
    now = {};
    for (const control of controls.values()) control.value = '';
    text.value = '';
    drawChips();
    onChange({});
    text.focus();
  }

  function drawChips() {
    const active = NAMES.filter((name) => now[name] && names[name]);
    count.textContent = active.length > 0 ? ` (${active.length})` : '';
    fill(chips, active.map((name) => {
      const [label, shown] = names[name];
      return h('li', null, h('span', { class: 'filter-chip' }, `${label}: `, h('bdi', null, shown(now[name])),
        h('button', { type: 'button', ariaLabel: `Remove the filter ${label}`, onclick: () => set(name, '') }, icon('close', 'icon-s'))));
    }), active.length > 0 && h('li', null, h('button', { type: 'button', class: 'link small', testid: 'filters-clear', onclick: clear }, 'Clear all')));
    chips.hidden = active.length === 0;
  }

  function field(name, control) {
    controls.set(name, control);
    control.id = `filter-${name}`;
    control.dataset.testid = `filter-${name}`;
    control.value = now[name] ?? '';
    control.addEventListener('change', () => set(name, control.value.trim()));
    return h('div', { class: 'field' }, h('label', { for: control.id }, names[name][0]), control);
  }

  function choice(name, all, options) {
    const known = options.some(([value]) => value === now[name]);
    const others = now[name] && !known ? [[now[name], now[name]]] : []; // a link may name what is gone since
    return field(name, h('select', { class: 'select' }, h('option', { value: '' }, all), [...options, ...others].map(([value, label]) => h('option', { value }, label))));
  }

  function drawFields() {
    const sight = state.session.grants?.calls;
    const agents = [...state.agents.values()].filter((agent) => sight === 'all' || agent.team_id === state.agent.team_id)
      .sort((a, b) => a.name.localeCompare(b.name)).map((agent) => [agent.id, agent.name]);
    const numbers = state.numbers.map((number) => [number.id, number.display_phone_number]);
    const draw = {
      days: () => choice('days', 'Any time', Object.entries(PERIODS)),
      since: () => field('since', h('input', { type: 'date', class: 'input' })),
      until: () => field('until', h('input', { type: 'date', class: 'input' })),
      direction: () => choice('direction', 'All types', [['user_initiated', 'Incoming'], ['business_initiated', 'Outbound']]),
      status: () => choice('status', 'Any status', kind.statuses),
      // Who sees the own calls alone has nobody to choose.
      agent_id: () => sight !== 'own' && choice('agent_id', 'All agents', agents),
      team_id: () => sight === 'all' && (lists.teams?.length ?? 0) > 0 && choice('team_id', 'All teams', lists.teams.map((team) => [team.id, team.name])),
      number_id: () => numbers.length > 1 && (kind.one ? choice('number_id', numbers[0][1], numbers.slice(1)) : choice('number_id', 'All numbers', numbers)),
      disposition: () => (lists.dispositions?.length ?? 0) > 0 && choice('disposition', 'Any disposition', lists.dispositions.map((word) => [word, word])),
      tag: () => field('tag', h('input', { class: 'input', maxlength: 40, placeholder: 'e.g. vip', autocomplete: 'off' })),
      recorded: () => choice('recorded', 'Any', Object.entries(RECORDED)),
      talked: () => choice('talked', 'Any length', Object.entries(TALKED)),
    };
    fill(fields, kind.names.map((name) => draw[name]?.()));
  }

  drawFields();
  drawChips();
  async function bringLists() {
    const [teams, dispositions] = await Promise.allSettled([everyItem('/v1/teams'), api.get('/v1/dispositions', scope.signal)]);
    if (scope.gone) return;
    lists = { teams: teams.value ?? lists.teams, dispositions: dispositions.value?.items ?? lists.dispositions };
    const focused = document.activeElement?.id;
    drawFields();
    drawChips();
    if (focused?.startsWith('filter-')) document.getElementById(focused)?.focus();
  }
  if (kind.names.includes('team_id')) {
    scope.on('resync', bringLists);
    void bringLists();
  }

  return h('search', { class: 'filter-bar' },
    h('div', { class: 'filter-row' }, h('div', { class: 'search' }, icon('search'), text), toggle, tools),
    fields, chips);
}
