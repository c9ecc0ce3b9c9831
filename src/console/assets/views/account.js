// My account: who I am here, what I may, my password, where I am signed in.

import { api, token } from '../api.js';
import { setTitle } from '../router.js';
import { state } from '../state.js';
import { myList, reachWords } from '../ui/access.js';
import { confirm } from '../ui/confirm.js';
import { bdi, fill, h, icon } from '../ui/dom.js';
import { KEYS } from '../ui/keys.js';
import { when, words } from '../ui/format.js';
import { avatar, facts, failed, notice, skeleton } from '../ui/parts.js';
import { SWITCHES } from '../ui/person.js';
import { toast, toastError } from '../ui/toast.js';

const THEMES = [['auto', 'auto', 'System'], ['light', 'sun', 'Light'], ['dark', 'moon', 'Dark']];

export function accountView(root, scope) {
  setTitle('My account');
  const who = h('div', { class: 'stack-gap' });
  const may = h('div', null, skeleton(5));
  const devices = h('div', null, skeleton(3));
  const title = h('h1', { tabindex: -1 }, 'My account');
  let team = null;
  let rules = null;

  function drawWho() {
    const { agent } = state;
    if (!agent) return;
    const on = Object.keys(SWITCHES).filter((name) => agent.switches[name]);
    fill(who, h('div', { class: 'head-who' }, avatar(agent, 'avatar-l'), h('div', null, h('strong', { class: 'account-name' }, bdi(agent.name)), h('div', { class: 'dim' }, agent.email ?? 'No e-mail address'))),
      facts([
        ['Role', words.role(agent.role)],
        ['Team', agent.team_id === null ? 'None' : team?.name ?? agent.team_id],
        ['Switches', on.length > 0 && on.map((name) => h('div', null, `“${SWITCHES[name]}”`))],
        ['Round robin', agent.excluded && 'You are excluded: only calls of customers who are yours ring here.'],
        ['Signs in with', [agent.email && h('div', null, bdi(agent.email)), h('span', { class: 'mono' }, agent.id)]],
      ]),
      h('p', { class: 'dim small' }, state.session.grants?.manage
        ? ['You change this under ', h('a', { href: `/settings/people/${encodeURIComponent(agent.id)}` }, 'People'), '.']
        : 'Whoever manages your team changes this.'));
    if (rules) fill(may, h('ul', { class: 'may-list', testid: 'account-may' }, myList(rules).map(([deed, reach]) => h('li', null, h('span', null, deed), h('span', { class: 'chip', data: { tone: reach === 'own' ? '' : reach === 'team' ? 'info' : 'go' } }, reachWords(reach))))));
  }

  async function load() {
    try {
      const [access, { items: teams }] = await Promise.all([api.get('/v1/access', scope.signal), api.get('/v1/teams', scope.signal)]);
      if (scope.gone) return;
      rules = access.items;
      team = teams.find(({ id }) => id === state.agent.team_id) ?? null;
      drawWho();
    } catch (error) {
      if (!scope.gone) fill(may, failed(error, load));
    }
  }

  async function loadDevices() {
    if (token.read()) return fill(devices, h('p', { class: 'dim small' }, 'You are signed in with an agent token, in this tab alone. It ends when you close the tab, and by itself.'));
    try {
      const { items } = await api.get('/v1/session/devices', scope.signal);
      if (!scope.gone) fill(devices, deviceList(items, loadDevices));
    } catch (error) {
      if (!scope.gone) fill(devices, failed(error, loadDevices));
    }
  }

  fill(root, h('div', { class: 'page' }, h('div', { class: 'page-head' }, title),
    h('div', { class: 'two' },
      h('div', null,
        h('section', { class: 'card card-pad card-top', ariaLabel: 'Who I am' }, who),
        card('What I may see and do', may),
        card('Keys', keys())),
      h('div', null,
        card('Password', passwordForm(loadDevices)),
        card('Signed in', devices, h('div', { class: 'row' },
          h('button', { type: 'button', class: 'btn btn-s', testid: 'account-sign-out', onclick: () => dispatchEvent(new Event('tandem:signout')) }, icon('leave', 'icon-s'), 'Sign out here'),
          !token.read() && h('button', { type: 'button', class: 'btn btn-s btn-warn', testid: 'account-everywhere', onclick: everywhere }, 'Sign out everywhere'))),
        card('Theme', themes(scope))))));
  drawWho();
  scope.on('agent', drawWho);
  scope.on('people', (changed) => { if ([state.agent?.id, state.agent?.team_id].includes(changed?.id)) void load(); });
  void load();
  void loadDevices();
}

function keys() {
  return [
    h('p', { class: 'dim small' }, 'On every page, also while you type:'),
    h('ul', { class: 'may-list', testid: 'account-keys' }, Object.values(KEYS).map(({ keys: pressed, deed }) => h('li', null, h('span', null, deed), h('kbd', null, pressed)))),
    h('p', { class: 'dim small' }, 'While the keypad is open, the digits, * and # of your keyboard are its keys. Escape closes what is open.'),
  ];
}

function card(title, ...children) {
  return h('section', { class: 'card', ariaLabel: title }, h('div', { class: 'card-head' }, h('h2', null, title)), h('div', { class: 'card-pad stack-gap' }, children));
}

function passwordForm(onChange) {
  if (token.read()) return h('p', { class: 'dim small' }, 'Only somebody who signed in with a password changes it. Whoever manages your team can send you a link to choose one.');
  const said = h('div', { ariaLive: 'assertive', testid: 'password-told' });
  const fields = [['current', 'Current password', 'current-password'], ['new', 'New password', 'new-password'], ['again', 'The same again', 'new-password']];
  const inputs = Object.fromEntries(fields.map(([name, , autocomplete]) => [name, h('input', { class: 'input', type: 'password', id: `password-${name}`, testid: `password-${name}`, name, autocomplete })]));
  const send = h('button', { type: 'submit', class: 'btn', testid: 'password-save' }, 'Change the password');
  const say = (tone, text, at) => {
    fill(said, text && notice(tone, tone === 'stop' ? 'warn' : 'check', text));
    at?.focus();
  };
  async function submit(event) {
    event.preventDefault();
    const missing = fields.find(([name]) => inputs[name].value === '');
    if (missing) return say('stop', `Type it: ${missing[1].toLowerCase()}.`, inputs[missing[0]]);
    if (inputs.new.value !== inputs.again.value) return say('stop', 'The two new ones are not the same.', inputs.again);
    send.disabled = true;
    try {
      await api.put('/v1/session/password', { current: inputs.current.value, new: inputs.new.value });
      for (const input of Object.values(inputs)) input.value = '';
      say('info', 'Changed. All your other browsers were signed out; this one stays.');
      onChange();
    } catch (error) {
      const [, at, sentence] = /^(current|new): (.*)$/s.exec(error.message) ?? [null, null, error.message];
      say('stop', at ? `${fields.find(([name]) => name === at)[1]}: ${sentence}.` : sentence, inputs[at]);
    } finally {
      send.disabled = false;
    }
  }
  return h('form', { class: 'stack-gap', onsubmit: submit, novalidate: true },
    h('input', { type: 'text', class: 'visually-hidden', autocomplete: 'username', value: state.agent.email ?? state.agent.id, tabindex: -1, ariaHidden: 'true', readonly: true }),
    h('p', { class: 'dim small' }, 'At least 10 characters; three or four words make a good one. All your other browsers are signed out.'),
    fields.map(([name, label]) => h('div', { class: 'field' }, h('label', { for: `password-${name}` }, label), inputs[name])), said, h('div', { class: 'row' }, send));
}

function deviceList(items, again) {
  const end = async (device) => {
    try {
      await api.delete(`/v1/session/devices/${encodeURIComponent(device.id)}`);
      toast({ title: browserWords(device.client), text: 'Signed out there.', tone: 'go' });
    } catch (error) {
      toastError('Still signed in there', error);
    }
    await again();
  };
  return h('ul', { class: 'devices-list', testid: 'devices-list' }, items.map((device) => h('li', null,
    h('div', null, h('strong', { title: device.client }, browserWords(device.client)), h('span', { class: 'dim small block' }, `Since ${when(device.signed_in_at)}, last used ${when(device.used_at)}`)),
    device.this ? h('span', { class: 'chip', data: { tone: 'go' } }, 'This one') : h('button', { type: 'button', class: 'btn btn-s', testid: 'device-end', ariaLabel: `Sign out ${browserWords(device.client)}`, onclick: () => end(device) }, 'Sign out'))));
}

/** "Firefox on Windows" out of what a browser calls itself. */
function browserWords(client) {
  if (!client) return 'A browser that does not say its name';
  const of = (table) => table.find(([pattern]) => pattern.test(client))?.[1];
  const browser = of([[/Edg\//, 'Edge'], [/OPR\//, 'Opera'], [/SamsungBrowser/, 'Samsung Internet'], [/Firefox|FxiOS/, 'Firefox'], [/Chrom|CriOS/, 'Chrome'], [/Safari/, 'Safari']]);
  const system = of([[/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Android/, 'Android'], [/Windows/, 'Windows'], [/Mac OS X|Macintosh/, 'Mac'], [/CrOS/, 'ChromeOS'], [/Linux/, 'Linux']]);
  if (!browser && !system) return client.slice(0, 60);
  return [browser ?? 'A browser', system].filter(Boolean).join(' on ');
}

function everywhere() {
  confirm({
    title: 'Sign out everywhere?',
    text: ['All your browsers, this one too, and all your tokens are signed out at once. You sign in again with your password.'],
    yes: 'Sign out everywhere',
    async act() {
      await api.delete('/v1/session?everywhere=true');
      location.assign('/');
    },
  });
}

function themes(scope) {
  const { read, choose } = globalThis.tandemTheme;
  const seg = h('div', { class: 'seg', role: 'group', ariaLabel: 'Theme' });
  const draw = () => fill(seg, THEMES.map(([value, name, label]) => h('button', { type: 'button', ariaPressed: read() === value, testid: `theme-${value}`, onclick: () => {
    choose(value);
    seg.querySelector(`[data-testid="theme-${value}"]`).focus();
  } }, icon(name, 'icon-s'), label)));
  addEventListener('tandem:theme', draw);
  scope.add(() => removeEventListener('tandem:theme', draw));
  draw();
  return seg;
}
