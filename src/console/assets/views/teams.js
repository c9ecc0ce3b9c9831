// Teams: who is in which, who leads; and who is left out of the round robin.

import { api, everyItem } from '../api.js';
import { setTitle } from '../router.js';
import { noteAgent } from '../state.js';
import { confirm } from '../ui/confirm.js';
import { openDialog } from '../ui/dialog.js';
import { bdi, fill, h, icon, setText } from '../ui/dom.js';
import { words } from '../ui/format.js';
import { empty, failed, skeleton } from '../ui/parts.js';
import { byName, EXCLUSION, newId, personCell, presenceChips } from '../ui/person.js';
import { toast, toastError } from '../ui/toast.js';
import { crumbs, mayManage } from './settings.js';

const GATHER_MS = 300;
/** Suggestions shown at a time. */
const FOUND_MAX = 8;

export function teamsView(root, scope) {
  if (!mayManage(root)) return;
  setTitle('Teams');
  const list = h('div', { class: 'stack-gap', testid: 'teams' }, h('section', { class: 'card' }, skeleton(4)));
  const exclude = excludeCard(change);
  let agents = [];
  let teams = [];

  async function load() {
    try {
      [agents, teams] = await Promise.all([everyItem('/v1/agents'), everyItem('/v1/teams')]);
      if (!scope.gone) draw();
    } catch (error) {
      if (!scope.gone && list.querySelector('.skeleton')) fill(list, h('section', { class: 'card' }, failed(error, load)));
    }
  }

  function draw() {
    const focused = document.activeElement?.dataset.keep;
    agents.sort(byName);
    teams.sort(byName);
    const of = (id) => agents.filter((agent) => agent.team_id === id);
    const alone = of(null);
    fill(list,
      teams.length === 0 && h('section', { class: 'card' }, empty('people', 'No teams yet', 'A sales lead sees the calls of the own team. Make one, then move people into it.')),
      teams.map((team) => teamCard(team, of(team.id), teams, { move: change, rename, remove })),
      alone.length > 0 && teamCard({ id: null, name: 'No team' }, alone, teams, { move: change }));
    exclude.draw(agents);
    if (focused) root.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Changes somebody, shows it, and says so. */
  async function change(agent, wish, text) {
    try {
      const changed = await api.put(`/v1/agents/${encodeURIComponent(agent.id)}`, wish);
      noteAgent(changed);
      toast({ title: agent.name, text, tone: 'go' });
    } catch (error) {
      toastError(`${agent.name} was not changed`, error);
    }
    await load();
  }

  async function rename(team, name) {
    await api.put(`/v1/teams/${encodeURIComponent(team.id)}`, { name });
    await load();
  }

  /** The gateway deletes a team in which nobody is; who is in it is moved first. */
  function remove(team, members) {
    const others = teams.filter(({ id }) => id !== team.id);
    const heir = h('select', { class: 'select', id: 'team-heir', testid: 'team-heir' }, h('option', { value: '' }, 'No team'), others.map(({ id, name }) => h('option', { value: id }, name)));
    confirm({
      title: `Delete ${team.name}?`,
      text: ['Calls ring as before: they go to people, not to teams. A sales lead no longer sees the calls of who was in it.', 'Saved views that name this team find no calls.'],
      more: members.length > 0 && h('div', { class: 'field' }, h('label', { for: 'team-heir' }, members.length === 1 ? `Where does ${members[0].name} go?` : `Where do its ${members.length} people go?`), heir),
      yes: 'Delete the team',
      async act() {
        try {
          for (const { id } of members) noteAgent(await api.put(`/v1/agents/${encodeURIComponent(id)}`, { team_id: heir.value || null }));
          await api.delete(`/v1/teams/${encodeURIComponent(team.id)}`);
        } finally {
          await load();
        }
        toast({ title: team.name, text: 'Deleted.', tone: 'go' });
        root.querySelector('h1').focus();
      },
    });
  }

  fill(root, h('div', { class: 'page page-narrow' },
    h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings']), h('h1', { tabindex: -1 }, 'Teams')),
      h('button', { type: 'button', class: 'btn btn-primary', testid: 'team-new', onclick: () => askName({ title: 'A new team', yes: 'Make the team', save: (name) => rename({ id: newId('team', name) }, name) }) }, icon('plus', 'icon-s'), 'New team')),
    list, exclude.element));
  const soon = scope.gathered(GATHER_MS, load);
  for (const topic of ['people', 'resync']) scope.on(topic, soon);
  void load();
}

function teamCard(team, members, teams, { move, rename, remove }) {
  const leads = members.filter(({ role }) => role === 'sales_lead');
  const rest = members.filter(({ role }) => role !== 'sales_lead');
  const count = `${members.length} ${members.length === 1 ? 'person' : 'people'}`;
  return h('section', { class: 'card', ariaLabel: team.name, testid: 'team', data: { teamId: team.id ?? '' } },
    h('div', { class: 'card-head' }, h('h2', null, bdi(team.name)), h('span', { class: 'dim small team-count' }, leads.length === 0 && team.id ? `${count}, no lead` : count),
      rename && h('button', { type: 'button', class: 'btn btn-s', testid: 'team-rename', ariaLabel: `Rename ${team.name}`, onclick: () => askName({ title: `Rename ${team.name}`, yes: 'Rename', name: team.name, save: (name) => rename(team, name) }) }, 'Rename'),
      remove && h('button', { type: 'button', class: 'btn btn-s btn-warn', testid: 'team-delete', ariaLabel: `Delete ${team.name}`, onclick: () => remove(team, members) }, 'Delete')),
    members.length === 0
      ? h('p', { class: 'card-pad dim' }, 'Nobody is in this team yet: move somebody here from another list.')
      : h('ul', { class: 'members' }, [...leads, ...rest].map((agent) => h('li', { data: { agentId: agent.id } },
        personCell(agent, `/settings/people/${encodeURIComponent(agent.id)}`, words.role(agent.role)),
        h('div', { class: 'presence' }, agent.role === 'sales_lead' && h('span', { class: 'chip', data: { tone: 'info' } }, 'Lead'), presenceChips(agent)),
        mover(agent, teams, move)))));
}

function mover(agent, teams, move) {
  const select = h('select', { class: 'select select-s', testid: 'move', ariaLabel: `Team of ${agent.name}`, data: { keep: `move-${agent.id}` }, onchange: () => {
    select.disabled = true;
    const chosen = teams.find(({ id }) => id === select.value);
    void move(agent, { team_id: select.value || null }, chosen ? `Now in ${chosen.name}.` : 'In no team now.');
  } },
  teams.map(({ id, name }) => h('option', { value: id, selected: id === agent.team_id }, name)), h('option', { value: '', selected: agent.team_id === null }, 'No team'));
  return select;
}

/** The Exclude list: who is on it, and a field to put somebody on it by name. */
function excludeCard(change) {
  let agents = [];
  const chosen = h('ul', { class: 'members', testid: 'excluded' });
  const found = h('ul', { class: 'menu found', id: 'exclude-found', role: 'listbox', ariaLabel: 'People found', hidden: true });
  const field = h('input', { class: 'input', id: 'exclude-add', testid: 'exclude-add', autocomplete: 'off', role: 'combobox', ariaExpanded: false, ariaControls: 'exclude-found', placeholder: 'Type a name', oninput: suggest, onfocus: suggest, onkeydown: keys, onblur: () => setTimeout(hide, 150) });
  let lit = -1;

  const options = () => [...found.querySelectorAll('[role="option"]')];
  function hide() {
    found.hidden = true;
    lit = -1;
    field.setAttribute('aria-expanded', 'false');
    field.removeAttribute('aria-activedescendant');
  }

  function suggest() {
    const typed = field.value.trim().toLowerCase();
    const people = agents.filter((agent) => !agent.excluded && [agent.name, agent.email ?? ''].some((part) => part.toLowerCase().includes(typed))).slice(0, FOUND_MAX);
    lit = -1;
    field.removeAttribute('aria-activedescendant');
    fill(found, people.length === 0
      ? h('li', { class: 'dim small', role: 'option', ariaDisabled: 'true' }, 'Nobody else has this name.')
      : people.map((agent, i) => h('li', { role: 'option', id: `exclude-${i}`, ariaSelected: false, testid: 'exclude-option', data: { agentId: agent.id }, onpointerdown: (event) => { event.preventDefault(); add(agent); } }, bdi(agent.name), h('span', null, agent.email ?? agent.id))));
    found.hidden = false;
    field.setAttribute('aria-expanded', 'true');
  }

  function keys(event) {
    if (event.key === 'Escape') {
      if (!found.hidden) event.preventDefault();
      return hide();
    }
    const all = options().filter((option) => option.dataset.agentId);
    if (event.key === 'Enter') {
      event.preventDefault();
      const option = all[lit] ?? (all.length === 1 ? all[0] : null);
      if (option && !found.hidden) add(agents.find(({ id }) => id === option.dataset.agentId));
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    if (found.hidden) return suggest();
    if (all.length === 0) return;
    lit = (lit + step + all.length) % all.length;
    all.forEach((option, i) => option.setAttribute('aria-selected', String(i === lit)));
    field.setAttribute('aria-activedescendant', all[lit].id);
  }

  function add(agent) {
    field.value = '';
    hide();
    void change(agent, { excluded: true }, 'Left out of the round robin from the next call on.');
  }

  function draw(known) {
    agents = known;
    const left = agents.filter(({ excluded }) => excluded);
    fill(chosen, left.map((agent) => h('li', { data: { agentId: agent.id } }, personCell(agent, `/settings/people/${encodeURIComponent(agent.id)}`),
      h('button', { type: 'button', class: 'btn btn-s', testid: 'exclude-remove', data: { keep: `in-${agent.id}` }, ariaLabel: `Take ${agent.name} off the list`, onclick: () => change(agent, { excluded: false }, 'In the round robin again from the next call on.') }, 'Take off'))));
    chosen.hidden = left.length === 0;
    setText(nobody, left.length === 0 ? 'Nobody is excluded.' : '');
  }

  const nobody = h('p', { class: 'dim small', role: 'status' });
  const element = h('section', { class: 'card', ariaLabelledBy: 'exclude-title', testid: 'exclude' },
    h('div', { class: 'card-head' }, h('h2', { id: 'exclude-title' }, 'Exclude list')),
    h('div', { class: 'card-pad stack-gap' }, h('p', { class: 'dim small' }, EXCLUSION, ' It holds from the next call on; a call that rings goes on ringing.'),
      h('div', { class: 'field menu-anchor' }, h('label', { for: 'exclude-add' }, 'Exclude somebody'), field, found), nobody), chosen);
  return { element, draw };
}

function askName({ title, yes, name = '', save }) {
  const field = h('input', { class: 'input', id: 'team-name', testid: 'team-name', value: name, maxlength: 200, autocomplete: 'off', ariaDescribedBy: 'team-name-wrong' });
  const wrong = h('p', { class: 'field-error', id: 'team-name-wrong', ariaLive: 'assertive' });
  openDialog({
    title,
    testid: 'team-dialog',
    build({ close }) {
      const send = h('button', { type: 'submit', class: 'btn btn-primary', form: 'team-form', testid: 'team-save' }, yes);
      async function submit(event) {
        event.preventDefault();
        const wish = field.value.trim();
        if (!wish) {
          setText(wrong, 'Write a name for the team.');
          return field.focus();
        }
        send.disabled = true;
        try {
          await save(wish);
          close();
        } catch (error) {
          setText(wrong, error.message.replace(/^name: /, 'Name: '));
          send.disabled = false;
        }
      }
      return {
        body: h('form', { id: 'team-form', onsubmit: submit, novalidate: true }, h('div', { class: 'field' }, h('label', { for: 'team-name' }, 'Name'), field, wrong)),
        foot: [h('button', { type: 'button', class: 'btn', onclick: close }, 'Cancel'), send],
      };
    },
  });
  field.focus();
  field.select();
}
