// What narrows the list of calls. The address is the only place where it is kept: a narrowed list can
// be linked, bookmarked and reloaded.

import { api, everyItem } from '../api.js';
import { state } from '../state.js';
import { fill, h, icon } from './dom.js';
import { words } from './format.js';

const STATUSES = ['Ringing', 'Ongoing', 'Completed', 'Missed by Agent', 'Missed by Customer', 'Rejected by Customer', 'Failed', 'Business unavailable'];
/** Typing is let come to rest. */
const TYPED_MS = 300;
/** As they stand in the address, in the order of the form. */
const NAMES = ['text', 'since', 'until', 'direction', 'status', 'agent_id', 'team_id', 'number_id', 'disposition', 'tag'];

/** Reads the address: `{ name: value }`, only known names with a value. */
export function readFilters(search) {
  return Object.fromEntries(NAMES.map((name) => [name, search.get(name)?.trim()]).filter(([, value]) => value));
}

/** What the API is asked with: days become moments of this browser's time zone, the last one included. */
export function asQuery({ since, until, ...rest }) {
  return { ...rest, from: dayStart(since, 0), to: dayStart(until, 1) };
}

function dayStart(day, later) {
  const [year, month, date] = (day ?? '').split('-').map(Number);
  const start = new Date(year, month - 1, date + later);
  return Number.isNaN(start.getTime()) ? null : start.toISOString();
}

/**
 * The bar: search, a button that opens the rest, and a chip for each filter in force.
 * `tools` stand at its end; `onChange(filters)` is called when somebody changes something.
 */
export function filterBar(scope, filters, tools, onChange) {
  let now = { ...filters };
  const fields = h('div', { class: 'filters', id: 'filters', testid: 'filters', hidden: true });
  const chips = h('ul', { class: 'filter-chips', testid: 'filter-chips', ariaLabel: 'Filters in force' });
  const count = h('span');
  const toggle = h('button', { type: 'button', class: 'btn', testid: 'filters-open', ariaExpanded: false, ariaControls: 'filters', onclick: open }, icon('filter'), 'Filters', count);
  const text = h('input', { type: 'search', class: 'input', testid: 'filter-text', value: now.text ?? '', placeholder: 'Name, number, or words that were said', ariaLabel: 'Search name, number, or words that were said', maxlength: 200, autocomplete: 'off' });
  let typed = null;
  text.addEventListener('input', () => {
    clearTimeout(typed);
    typed = setTimeout(() => set('text', text.value.trim()), TYPED_MS);
  });
  scope.add(() => clearTimeout(typed));

  const controls = new Map();
  let lists = {};
  const names = {
    since: ['From', (day) => shownDay(day)],
    until: ['To', (day) => shownDay(day)],
    direction: ['Type', words.direction],
    status: ['Status', (status) => status],
    agent_id: ['Agent', (id) => state.agents.get(id)?.name ?? id],
    team_id: ['Team', (id) => lists.teams?.find((team) => team.id === id)?.name ?? id],
    number_id: ['Number', (id) => state.numbers.find((number) => number.id === id)?.display_phone_number ?? id],
    disposition: ['Disposition', (word) => word],
    tag: ['Tag', (tag) => tag],
  };

  function open() {
    fields.hidden = !fields.hidden;
    toggle.setAttribute('aria-expanded', String(!fields.hidden));
    if (!fields.hidden) fields.querySelector('input, select')?.focus();
  }

  function set(name, value) {
    if ((now[name] ?? '') === value) return;
    now = { ...now, [name]: value };
    if (!value) delete now[name];
    if (controls.has(name)) controls.get(name).value = value;
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
    fill(fields,
      field('since', h('input', { type: 'date', class: 'input' })),
      field('until', h('input', { type: 'date', class: 'input' })),
      choice('direction', 'All types', [['user_initiated', 'Incoming'], ['business_initiated', 'Outbound']]),
      choice('status', 'Any status', STATUSES.map((status) => [status, status])),
      // Who sees the own calls alone has nobody to choose.
      sight !== 'own' && choice('agent_id', 'All agents', agents),
      sight === 'all' && (lists.teams?.length ?? 0) > 0 && choice('team_id', 'All teams', lists.teams.map((team) => [team.id, team.name])),
      state.numbers.length > 1 && choice('number_id', 'All numbers', state.numbers.map((number) => [number.id, number.display_phone_number])),
      (lists.dispositions?.length ?? 0) > 0 && choice('disposition', 'Any disposition', lists.dispositions.map((word) => [word, word])),
      field('tag', h('input', { class: 'input', maxlength: 40, placeholder: 'e.g. vip', autocomplete: 'off' })));
  }

  drawFields();
  drawChips();
  Promise.allSettled([everyItem('/v1/teams'), api.get('/v1/dispositions', scope.signal)]).then(([teams, dispositions]) => {
    if (scope.gone) return;
    lists = { teams: teams.value ?? [], dispositions: dispositions.value?.items ?? [] };
    const focused = document.activeElement?.id;
    drawFields();
    drawChips();
    if (focused?.startsWith('filter-')) document.getElementById(focused)?.focus();
  });

  return h('search', { class: 'filter-bar' },
    h('div', { class: 'filter-row' }, h('div', { class: 'search' }, icon('search'), text), toggle, tools),
    fields, chips);
}

function shownDay(day) {
  const date = new Date(`${day}T00:00:00`);
  return Number.isNaN(date.getTime()) ? day : date.toLocaleDateString(undefined, { day: 'numeric', month: 'short', year: 'numeric' });
}
