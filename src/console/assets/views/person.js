// One who works here: who that is, what it may, how it comes in, and what happens when it leaves.

import { api, everyItem, query } from '../api.js';
import { go, setTitle } from '../router.js';
import { noteAgent, noteFormer, state } from '../state.js';
import { confirm } from '../ui/confirm.js';
import { openDialog } from '../ui/dialog.js';
import { bdi, fill, h, icon } from '../ui/dom.js';
import { when, words } from '../ui/format.js';
import { facts, failed, notice, skeleton } from '../ui/parts.js';
import { byName, newId, presenceChips, readinessWords, signInWords } from '../ui/person.js';
import { personForm } from '../ui/personform.js';
import { toast, toastError } from '../ui/toast.js';
import { crumbs, mayManage } from './settings.js';

const GATHER_MS = 300;
const PATH = '/settings/people';

export function newPersonView(root, scope) {
  if (!mayManage(root)) return;
  setTitle('Add a person');
  const body = h('section', { class: 'card' }, skeleton(6));
  fill(root, frame('Add a person', body));
  async function load() {
    try {
      const [teams, access] = await Promise.all([everyItem('/v1/teams'), api.get('/v1/access', scope.signal)]);
      if (scope.gone) return;
      const form = personForm({ teams, rules: access.items, yes: 'Add and make a link', save });
      fill(body, h('div', { class: 'card-pad card-top' }, form.element));
      form.focus();
    } catch (error) {
      if (!scope.gone) fill(body, failed(error, load));
    }
  }
  async function save(wish) {
    const id = newId('agt', wish.name);
    const agent = await api.put(path(id), wish);
    noteAgent(agent);
    const link = await api.post(`${path(id)}/invitations`).catch((error) => {
      toastError('There is no link yet', error);
      return null;
    });
    if (scope.gone) return;
    go(`${PATH}/${encodeURIComponent(id)}`);
    if (link) showLink(agent, link);
  }
  void load();
}

export function personView(root, scope, { id }) {
  if (!mayManage(root)) return;
  setTitle('Person');
  const head = h('div', null, skeleton(1));
  const who = h('section', { class: 'card', ariaLabel: 'Who it is' }, skeleton(6));
  const side = h('div', { class: 'stack-gap' });
  fill(root, h('div', { class: 'page' }, h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings'], [PATH, 'People']), h('h1', { tabindex: -1, testid: 'person-title' }, 'Person'), head)), h('div', { class: 'two' }, h('div', null, who), side)));
  const title = root.querySelector('h1');
  let form = null;

  async function load() {
    try {
      const [agent, teams, access] = await Promise.all([api.get(path(id), scope.signal), everyItem('/v1/teams'), api.get('/v1/access', scope.signal)]);
      if (scope.gone) return;
      setTitle(agent.name);
      fill(title, bdi(agent.name));
      fill(head, h('div', { class: 'head-sub' }, presenceChips(agent), h('span', null, words.role(agent.role)), agent.id === state.agent.id && h('span', { class: 'chip' }, 'You')));
      if (form === null) {
        form = personForm({ teams, rules: access.items, agent, yes: 'Save', save: (wish) => save(wish) });
        fill(who, h('div', { class: 'card-head' }, h('h2', null, 'Who it is')), h('div', { class: 'card-pad' }, form.element));
      } else form.refresh(agent, teams);
      drawSide(agent);
    } catch (error) {
      if (scope.gone) return;
      if (error.status === 404) {
        fill(title, state.former.get(id)?.name ?? 'Nobody');
        fill(head);
        fill(who, h('div', { class: 'card-pad card-top' }, gone(id)));
        fill(side);
      } else if (form === null) fill(who, failed(error, load));
    }
  }

  async function save(wish) {
    const agent = await api.put(path(id), wish);
    noteAgent(agent);
    toast({ title: agent.name, text: 'Saved. It is in force at once.', tone: 'go' });
    await load();
  }

  function drawSide(agent) {
    const focused = side.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
    fill(side, callsCard(agent, load), signInCard(agent, load), agent.id !== state.agent.id && leaveCard(agent));
    if (focused) side.querySelector(`[data-testid="${focused}"]`)?.focus();
  }

  const soon = scope.gathered(GATHER_MS, load);
  for (const topic of ['people', 'resync']) scope.on(topic, soon);
  scope.on('call', (call) => { if (call.agent_id === id || call.offers?.some(({ agent_id: rang }) => rang === id)) soon(); });
  void load();
}

function frame(title, body) {
  return h('div', { class: 'page page-narrow' }, h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings'], [PATH, 'People']), h('h1', { tabindex: -1 }, title))), body);
}

function path(id) {
  return `/v1/agents/${encodeURIComponent(id)}`;
}

function gone(id) {
  const left = state.former.get(id);
  return notice('info', 'leave', left ? ['Left ', when(left.left_at), '. Calls and notes keep the name.'] : 'There is nobody of this name here.', ' ', h('a', { href: PATH }, 'To everybody'));
}

function card(title, ...children) {
  return h('section', { class: 'card', ariaLabel: title }, h('div', { class: 'card-head' }, h('h2', null, title)), h('div', { class: 'card-pad stack-gap' }, children));
}

function callsCard(agent, again) {
  const offline = h('button', { type: 'button', class: 'btn btn-s', testid: 'person-offline', onclick: sendHome }, 'Set offline');
  async function sendHome() {
    offline.disabled = true;
    try {
      await api.put(`${path(agent.id)}/status`, { status: 'offline' });
      toast({ title: agent.name, text: 'Offline. What rang there goes on to the next agent; a call goes on to its end.', tone: 'go' });
      await again();
    } catch (error) {
      offline.disabled = false;
      toastError('Still online', error);
    }
  }
  return card('Calls',
    facts([
      ['Status', h('span', { class: 'presence' }, presenceChips(agent))],
      ['Console', readinessWords(agent)],
      ['Looked at', agent.readiness && when(agent.readiness.checked_at)],
    ]),
    agent.status === 'online'
      ? [h('p', { class: 'dim small' }, 'Only the person itself goes online. Who went home and left the console open can be set offline here.'), h('div', { class: 'row' }, offline)]
      : h('p', { class: 'dim small' }, 'Offline: nothing rings here, also no call of an assigned customer.'));
}

function signInCard(agent, again) {
  const way = agent.sign_in;
  const self = agent.id === state.agent.id;
  const has = way?.password_at || way?.invited_until;
  const [, said] = signInWords(way);
  const invite = h('button', { type: 'button', class: 'btn btn-s', testid: 'person-invite', onclick: makeLink }, icon('plus', 'icon-s'), way?.password_at ? 'Link for a new password' : 'Invitation link');
  async function makeLink() {
    invite.disabled = true;
    try {
      showLink(agent, await api.post(`${path(agent.id)}/invitations`));
      await again();
    } catch (error) {
      toastError('No link was made', error);
    } finally {
      invite.disabled = false;
    }
  }
  function takeAway() {
    confirm({
      title: `Take ${agent.name}’s access away?`,
      text: [
        'Password, links, tokens and all browsers are void at once, and the agent is offline.',
        'A call goes on to its end. Customers stay assigned, and calls keep the name. Another link lets the agent in again.',
      ],
      yes: 'Take access away',
      async act() {
        await api.delete(`${path(agent.id)}/password`);
        toast({ title: agent.name, text: 'Cannot sign in any more.', tone: 'go' });
        await again();
      },
    });
  }
  return card('Sign-in',
    facts([
      ['Password', way?.password_at ? `Chosen ${when(way.password_at)}` : 'None yet'],
      ['Link', way?.invited_until && `Good until ${when(way.invited_until)}`],
      ['Now', way?.password_at && said],
      ['Signs in with', [agent.email && h('div', null, bdi(agent.email)), h('span', { class: 'mono' }, agent.id)]],
    ]),
    h('div', { class: 'row' }, invite,
      !self && has && h('button', { type: 'button', class: 'btn btn-s btn-warn', testid: 'person-take-access', onclick: takeAway }, icon('lock', 'icon-s'), 'Take access away')));
}

function leaveCard(agent) {
  function leave() {
    const others = [...state.agents.values()].filter(({ id }) => id !== agent.id).sort(byName);
    const heir = h('select', { class: 'select', id: 'heir', testid: 'person-heir' }, h('option', { value: '' }, 'Nobody'), others.map(({ id, name }) => h('option', { value: id }, name)));
    confirm({
      title: `Remove ${agent.name}?`,
      text: ['For somebody who left. Access is taken away, the name is in no list any more, and no call rings there.', 'Calls, recordings and notes stay and keep the name.'],
      more: h('div', { class: 'field' }, h('label', { for: 'heir' }, 'Who gets the customers, assigned and owned?'), heir),
      yes: 'Remove',
      async act() {
        await api.delete(query(path(agent.id), { customers_to: heir.value }));
        noteFormer({ id: agent.id, name: agent.name, team_id: agent.team_id, left_at: new Date().toISOString() });
        toast({ title: agent.name, text: 'Removed.', tone: 'go' });
        go(PATH);
      },
    });
  }
  return card('Leaving',
    h('p', { class: 'dim small' }, 'Somebody who left is removed: the customers go to a colleague, and everything that was done stays readable.'),
    h('div', { class: 'row' }, h('button', { type: 'button', class: 'btn btn-s btn-warn', testid: 'person-remove', onclick: leave }, icon('leave', 'icon-s'), 'Remove')));
}

/** A link is a secret: it is shown once, and whoever has it is that person. */
function showLink(agent, { url, expires_at: end }) {
  openDialog({
    title: `A link for ${agent.name}`,
    testid: 'invite-dialog',
    build({ close }) {
      const text = h('input', { class: 'input mono', id: 'invite-link', testid: 'invite-link', readonly: true, value: url, onfocus: () => text.select() });
      const told = h('p', { class: 'small', role: 'status', testid: 'invite-told' });
      async function copy() {
        try {
          await navigator.clipboard.writeText(url);
          told.textContent = 'Copied.';
        } catch {
          text.focus();
          text.select();
          told.textContent = 'The browser does not allow copying here. The link is selected: press Ctrl+C, or ⌘C on a Mac.';
        }
      }
      return {
        body: h('div', { class: 'stack-gap' },
          h('p', null, 'Send it to this person and to nobody else: whoever opens it chooses the password and is that person here.'),
          h('div', { class: 'field' }, h('label', { for: 'invite-link' }, 'Link'), text),
          h('p', { class: 'dim small' }, `Good once, until ${when(end)}. It is not shown again; another one can be made at any time.`), told),
        foot: [h('button', { type: 'button', class: 'btn', testid: 'invite-done', onclick: close }, 'Done'),
          h('button', { type: 'button', class: 'btn btn-primary', testid: 'invite-copy', onclick: copy }, icon('copy', 'icon-s'), 'Copy')],
      };
    },
  });
}
