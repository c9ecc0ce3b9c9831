// Everybody who works here, as it is at this moment.

import { everyItem, query } from '../api.js';
import { setTitle } from '../router.js';
import { state } from '../state.js';
import { fill, h, icon } from '../ui/dom.js';
import { words } from '../ui/format.js';
import { empty, failed, skeleton } from '../ui/parts.js';
import { byName, personCell, presenceChips, readinessWords, signInWords } from '../ui/person.js';
import { crumbs, mayManage } from './settings.js';

/** Several events of one call or one change come together, and in a busy house they never end. */
const GATHER_MS = 700;
const ROLES = ['owner', 'sales_lead', 'admin', 'teammate'];
const HEADS = ['Name', 'Role', 'Team', 'Calls', 'Sign-in'];

export function peopleView(root, scope, _parameters, search) {
  if (!mayManage(root)) return;
  setTitle('People');
  let agents = null;
  let teams = [];
  const wanted = { text: search.get('text') ?? '', role: search.get('role') ?? '', team: search.get('team') ?? '' };
  const body = h('div', { testid: 'people' }, skeleton(6));
  const count = h('p', { class: 'dim small', role: 'status' });
  const text = h('input', { type: 'search', class: 'input', testid: 'people-search', value: wanted.text, placeholder: 'Name or e-mail address', ariaLabel: 'Search people', autocomplete: 'off', oninput: () => narrow('text', text.value.trim()) });
  const role = h('select', { class: 'select', testid: 'people-role', ariaLabel: 'Role', onchange: () => narrow('role', role.value) },
    h('option', { value: '' }, 'All roles'), ROLES.map((value) => h('option', { value, selected: value === wanted.role }, words.role(value))));
  const team = h('select', { class: 'select', testid: 'people-team', ariaLabel: 'Team', onchange: () => narrow('team', team.value) });

  function narrow(name, value) {
    wanted[name] = value;
    history.replaceState(null, '', query('/settings/people', wanted));
    draw();
  }

  function drawTeams() {
    fill(team, h('option', { value: '' }, 'All teams'), teams.map(({ id, name }) => h('option', { value: id, selected: id === wanted.team }, name)),
      h('option', { value: 'none', selected: wanted.team === 'none' }, 'No team'));
  }

  function fits(agent) {
    const typed = wanted.text.toLowerCase();
    return (!typed || [agent.name, agent.email ?? '', agent.id].some((part) => part.toLowerCase().includes(typed)))
      && (!wanted.role || agent.role === wanted.role)
      && (!wanted.team || (wanted.team === 'none' ? agent.team_id === null : agent.team_id === wanted.team));
  }

  function draw() {
    if (agents === null) return;
    const shown = agents.filter(fits).sort(byName);
    count.textContent = shown.length === agents.length ? `${agents.length} ${agents.length === 1 ? 'person' : 'people'}` : `${shown.length} of ${agents.length}`;
    if (shown.length === 0) return fill(body, empty('search', 'Nobody found', 'Nobody has this name, role and team.'));
    const teamName = (id) => (id === null ? h('span', { class: 'dim' }, 'No team') : h('bdi', null, teams.find((one) => one.id === id)?.name ?? id));
    const focused = document.activeElement?.closest('tr')?.dataset.agentId;
    fill(body, h('div', { class: 'table-wrap' }, h('table', { class: 'stack', ariaLabel: 'People' },
      h('thead', null, h('tr', null, HEADS.map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', null, shown.map((agent) => row(agent, teamName(agent.team_id)))))));
    if (focused) body.querySelector(`tr[data-agent-id="${CSS.escape(focused)}"] a`)?.focus();
  }

  async function load() {
    try {
      [agents, teams] = await Promise.all([everyItem('/v1/agents'), everyItem('/v1/teams')]);
      if (scope.gone) return;
      drawTeams();
      draw();
    } catch (error) {
      if (!scope.gone && agents === null) fill(body, failed(error, load));
    }
  }

  drawTeams();
  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings']), h('h1', { tabindex: -1 }, 'People')),
      h('a', { class: 'btn btn-primary', href: '/settings/people/new', testid: 'person-new' }, icon('plus', 'icon-s'), 'Add a person')),
    h('section', { class: 'card', ariaLabel: 'People' },
      h('search', { class: 'card-head people-filter' }, h('div', { class: 'search' }, icon('search'), text), role, team, count), body)));
  const soon = scope.gathered(GATHER_MS, load);
  for (const topic of ['people', 'call', 'resync']) scope.on(topic, soon);
  void load();
}

function row(agent, team) {
  const href = `/settings/people/${encodeURIComponent(agent.id)}`;
  const [tone, way] = signInWords(agent.sign_in);
  return h('tr', { testid: 'person-row', data: { href, agentId: agent.id, status: agent.status } },
    h('td', { class: 'wide' }, personCell(agent, href, agent.id === state.agent.id ? 'You' : agent.email ?? agent.id)),
    h('td', { data: { label: 'Role' } }, h('span', null, words.role(agent.role), agent.switches.configure_calls || agent.switches.all_calls ? h('span', { class: 'dim small block' }, switchWords(agent.switches)) : null)),
    h('td', { data: { label: 'Team' } }, team),
    h('td', { class: 'wide' }, h('div', { class: 'presence' }, presenceChips(agent), h('span', { class: 'dim small', data: { ready: String(agent.readiness?.ready ?? '') } }, readinessWords(agent)))),
    h('td', { class: 'wide' }, tone ? h('span', { class: 'chip', data: { tone } }, way) : h('span', { class: 'small' }, way)));
}

function switchWords({ configure_calls: configures, all_calls: all }) {
  return [configures && 'configures calls', all && 'sees all calls'].filter(Boolean).join(', ').replace(/^./, (first) => `+ ${first}`);
}
