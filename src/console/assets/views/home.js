// Home: can calls reach me, how is my day, whom do I owe a call.

import { api, query } from '../api.js';
import { unlockSound } from '../levels.js';
import { CHECKS, light, look, MENDS, readinessView } from '../readiness.js';
import { testBell } from '../ring.js';
import { setTitle } from '../router.js';
import { state } from '../state.js';
import { callBackAction } from '../ui/callback.js';
import { fill, h, icon, setText } from '../ui/dom.js';
import { clockTime, duration, when, words } from '../ui/format.js';
import { flipOnline, flipping } from '../ui/online.js';
import { avatar, empty, failed, skeleton, whoCell } from '../ui/parts.js';
import { toast, toastError } from '../ui/toast.js';
import { todoCard } from '../ui/todo.js';

/** Several events of one call arrive together. */
const GATHER_MS = 400;
/** A test ring that takes longer than this would not have been a ring. */
const RING_MS_MAX = 5_000;
const TONES = { passed: 'go', failed: 'stop', unknown: '' };
const RESULTS = { passed: 'Ready', failed: 'Not ready', unknown: 'Not known' };
const TILES = [
  ['offered', 'Offered', 'calls rang here'],
  ['answered', 'Answered', 'of those'],
  ['missed', 'Missed', 'of those'],
  ['placed', 'Placed', 'by you'],
  ['talk_ms', 'Talk time', 'both ways'],
];

export function homeView(root, scope) {
  setTitle('Home');
  const missed = h('div', null, skeleton(3));
  const expiring = h('div', null, skeleton(2));
  const numbers = h('dl', { class: 'tiles', testid: 'today' });
  const trouble = h('div');
  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Today')),
    h('div', { class: 'home' }, todoCard(scope),
      h('section', { class: 'card home-today', ariaLabel: 'Today' }, trouble, numbers),
      readyCard(scope),
      h('div', { class: 'home-waits' },
        h('section', { class: 'card', ariaLabelledBy: 'missed-title' }, head('Missed calls to return', 'missed-title'), missed),
        h('section', { class: 'card', ariaLabelledBy: 'expiring-title' }, head('Permissions about to expire', 'expiring-title'), expiring)))));

  const drawNumbers = (figures) => fill(numbers, TILES.map(([name, label, note]) => h('div', { class: 'tile', data: { figure: name, ...(figures?.[name] > 0 && { some: '' }) } },
    h('dt', null, label),
    h('dd', { class: 'hint' }, name === 'placed' && figures?.placed > 0 ? `${figures.reached} answered` : note),
    h('dd', { class: 'num' }, figures === null ? '–' : name === 'talk_ms' ? duration(figures.talk_ms) : figures[name]))));
  drawNumbers(null);

  async function load() {
    try {
      const midnight = new Date();
      midnight.setHours(0, 0, 0, 0);
      const day = await api.get(query(`/v1/agents/${encodeURIComponent(state.agent.id)}/day`, { from: midnight.toISOString() }), scope.signal);
      fill(trouble);
      drawNumbers(day.figures);
      drawCallers(missed, day.to_return, scope);
      drawExpiring(expiring, day.expiring, scope);
    } catch (error) {
      if (scope.gone) return;
      fill(trouble, failed(error, load));
      for (const box of [missed, expiring]) if (box.querySelector('.skeleton')) fill(box);
    }
  }

  const askSoon = scope.gathered(GATHER_MS, load);
  for (const topic of ['call', 'permission', 'contact', 'resync']) scope.on(topic, askSoon);
  void load();
}

function head(title, id) {
  return h('div', { class: 'card-head' }, h('h2', { id }, title));
}

function readyCard(scope) {
  const lamp = h('span', { class: 'lamp lamp-l' });
  const title = h('strong');
  const sentence = h('p', { testid: 'home-light' });
  const flip = h('button', { type: 'button', class: 'btn btn-l', testid: 'home-online', onclick: flipOnline });
  const list = h('ul', { class: 'checks', ariaLabel: 'What a call needs' });
  const again = h('button', { type: 'button', class: 'btn btn-s', testid: 'check-again', onclick: () => look({ ask: true }).catch((error) => toastError('Not told to the gateway', error)) }, icon('check', 'icon-s'), h('span'));
  const looked = h('span', { class: 'dim small' });

  const draw = () => {
    if (!state.agent) return;
    const online = state.agent.status === 'online';
    const { tone, text } = light();
    const { checks, checkedAt, running } = readinessView();
    lamp.dataset.tone = tone;
    setText(title, online ? 'You are online' : 'You are offline');
    const lacking = Object.keys(CHECKS).filter((name) => checks[name].result === 'failed').map((name) => CHECKS[name]);
    setText(sentence, lacking.length > 0 && state.link !== 'down' ? `Not ready: ${lacking.join(', ').toLowerCase()}` : text);
    flip.classList.toggle('btn-go', !online);
    flip.setAttribute('aria-busy', String(flipping()));
    setText(flip, flipping() ? (online ? 'Going offline…' : 'Looking…') : online ? 'Go offline' : 'Go online');
    setText(again.lastElementChild, running ? 'Looking…' : 'Check again');
    setText(looked, checkedAt === null ? '' : `Looked at ${clockTime(checkedAt)}`);
    const said = JSON.stringify(checks);
    if (list.dataset.said === said) return;
    list.dataset.said = said;
    fill(list, Object.entries(CHECKS).map(([name, label]) => checkRow(name, label, checks[name])));
  };
  for (const topic of ['ready', 'agent', 'colleague', 'call', 'link', 'readiness']) scope.on(topic, draw);
  scope.every(5_000, draw);

  return h('section', { class: 'card home-ready', ariaLabel: 'Are you ready for calls?' },
    h('div', { class: 'home-status' }, lamp, h('div', { role: 'status' }, title, sentence), flip),
    list,
    h('div', { class: 'home-tools' }, again, testRingButton(scope),
      h('button', { type: 'button', class: 'btn btn-s', testid: 'test-tone', onclick: playTone }, icon('sound', 'icon-s'), 'Test tone'),
      looked));
}

function checkRow(name, label, { result, text, mend }) {
  const way = result !== 'passed' && MENDS[mend];
  return h('li', { data: { check: name, result } },
    h('span', { class: 'lamp', data: { tone: TONES[result] } }),
    h('div', null, h('strong', null, label), h('span', { class: 'visually-hidden' }, `: ${RESULTS[result]}. `), h('span', { class: 'check-text' }, text)),
    way && h('button', { type: 'button', class: 'btn btn-s', onclick: way[1] }, way[0]));
}

/** The gateway rings this console as it would for a call: the whole way is tried. */
function testRingButton(scope) {
  let began = null;
  let timer = null;
  const button = h('button', { type: 'button', class: 'btn btn-s', testid: 'test-ring', onclick: ring }, icon('phone', 'icon-s'), 'Test ring');
  scope.on('test-ring', () => {
    if (began === null) return;
    toast({ title: 'Test ring', text: `The gateway’s ring reached this console in ${Math.round(performance.now() - began)} ms.`, tone: 'go' });
    stop();
  });
  scope.add(stop);

  function stop() {
    clearTimeout(timer);
    began = null;
    button.disabled = false;
  }

  async function ring() {
    await unlockSound();
    began = performance.now();
    button.disabled = true;
    timer = setTimeout(() => {
      stop();
      toast({ title: 'The test ring did not arrive', text: 'Events from the gateway do not reach this console. Reload the page; if it stays, tell the operator.', tone: 'stop' });
    }, RING_MS_MAX);
    try {
      await api.post(`/v1/agents/${encodeURIComponent(state.agent.id)}/readiness/ring`);
    } catch (error) {
      stop();
      toastError('No test ring', error);
    }
  }
  return button;
}

async function playTone() {
  if (await unlockSound()) testBell();
  else toast({ title: 'No sound', text: 'The browser refuses sound for this page. Allow it in the site settings (lock sign in the address bar).', tone: 'stop' });
}

function drawCallers(box, callers, scope) {
  if (callers.length === 0) return fill(box, empty('check', 'Nobody waits for you', 'Callers whom nobody has spoken to since appear here.'));
  return fill(box, h('ul', { class: 'rows', testid: 'to-return' }, callers.map((caller) => {
    const times = caller.times > 1 ? `Called ${caller.times} times, last ` : 'Called ';
    return row(caller.contact, [
      times, h('time', { datetime: caller.missed_at }, when(caller.missed_at)),
      caller.cause && ` · ${words.cause(caller.cause)}`,
    ], callBackAction(caller.contact, caller.number_id, scope, () => sayOnce(box)));
  })));
}

/** What keeps one from calling is told in full once; the rows below refer to it. */
function sayOnce(box) {
  const said = new Set();
  for (const element of box.querySelectorAll('[data-testid="not-now"]')) {
    setText(element, said.has(element.title) ? 'Not now, as above' : element.title);
    said.add(element.title);
  }
}

function drawExpiring(box, items, scope) {
  if (items.length === 0) return fill(box, empty('note', 'None ends within two days', 'Customers of yours whose permission to be called is about to end appear here.'));
  return fill(box, h('ul', { class: 'rows', testid: 'expiring' }, items.map(({ permission, contact }) => row(contact,
    ['May be called until ', h('time', { datetime: permission.expires_at }, when(permission.expires_at))],
    callBackAction(contact, permission.number_id, scope)))));
}

function row(contact, facts, action) {
  return h('li', { data: { contactId: contact.id } },
    h('div', null, whoCell(contact, `/contacts/${encodeURIComponent(contact.id)}`, avatar(contact)), h('p', { class: 'row-facts' }, facts)),
    h('div', { class: 'row-action' }, action));
}
