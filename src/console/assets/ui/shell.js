// The frame around every page: navigation, the agent's line, the banner, the call bar.

import { on } from '../bus.js';
import { soundUnlocked, unlockSound } from '../levels.js';
import { mic } from '../mic.js';
import { playRemote } from '../phone.js';
import { state } from '../state.js';
import { light } from '../readiness.js';
import { flipOnline, flipping } from './online.js';
import { startPanel, stopPanel } from './panel.js';
import { fill, h, icon, setText } from './dom.js';
import { words } from './format.js';
import { pages } from './pages.js';
import { avatar, meter } from './parts.js';
import { missedBadge } from './missedbadge.js';
import { passedBanner } from './passedbanner.js';
import { startPopups, stopPopups } from './popup.js';
import { walletBanner } from './walletbanner.js';

/** A blip that mends itself at once needs no banner. */
const BANNER_AFTER_MS = 900;

let closers = [];

/** Draws the shell into #app; `signOut` is called by its button. */
export function openShell(signOut) {
  const root = document.getElementById('app');
  const banner = h('div', { class: 'banner', role: 'status', testid: 'banner', hidden: true });
  const nav = h('ul');
  const links = h('div', { class: 'top-place' });
  const wallet = h('div');
  const passed = passedBanner();
  const missed = missedBadge();
  const view = h('main', { id: 'view', tabindex: -1 });
  const shell = h('div', { class: 'shell' },
    h('aside', { class: 'side' },
      h('a', { class: 'brand', href: '/' }, icon('tandem'), h('span', null, 'Tandem'), state.session.sandbox && h('span', { class: 'sandbox', title: 'No real WhatsApp behind this gateway' }, 'Sandbox')),
      h('nav', { class: 'nav', ariaLabel: 'Pages' }, nav),
      lineCard(signOut)),
    h('div', { class: 'stage' }, links, banner, passed.element, wallet, h('div', { class: 'floor' }, view)));
  fill(root, h('a', { class: 'skip', href: '#view', onclick: (event) => { event.preventDefault(); view.focus(); } }, 'To the page'),
    h('a', { class: 'skip skip-call', href: '#call', onclick: (event) => { event.preventDefault(); shell.querySelector('.call-panel button:not(:disabled)')?.focus(); } }, 'To the call'), shell);

  let empty = null;
  const drawRights = () => {
    const { all, rest } = pages();
    const item = (class_, [href, name, label, section]) => h('li', { class: class_ }, h('a', { href, data: { section } }, icon(name), h('span', null, label), section === 'home' && missed.element));
    fill(nav, all.map((page) => item(rest.includes(page) && 'nav-rest', page)), rest.length > 0 && item('nav-more', ['/more', 'more', 'More', 'more']));
    fill(links, topLinks());
    empty?.close();
    empty = walletBanner();
    fill(wallet, empty.element);
  };
  drawRights();
  closers.push(on('rights', drawRights), () => empty.close(), passed.close, missed.close, watchBanner(banner), unlockOnGesture());
  startPanel(shell);
  startPopups();
  return view;
}

/** Top right, on every page, for those who configure calls or manage people. */
function topLinks() {
  if (!state.session.grants?.configure_calls && !state.session.grants?.manage) return null;
  return h('nav', { class: 'top', ariaLabel: 'Settings' }, h('a', { href: '/settings', testid: 'settings-link', data: { section: 'settings' } }, icon('gear', 'icon-s'), h('span', null, 'Settings')));
}

export function closeShell() {
  closers.splice(0).forEach((close) => close());
  stopPanel();
  stopPopups();
}

function lineCard(signOut) {
  const label = h('span', { id: 'status-label' });
  const toggle = h('button', { type: 'button', class: 'switch', role: 'switch', testid: 'status-switch', ariaLabel: 'Online for calls', onclick: flipOnline });
  const name = h('strong');
  const role = h('span');
  const face = h('div');
  const lamp = h('span', { class: 'lamp' });
  const text = h('div');
  const level = meter('Microphone level');
  const theme = h('button', { type: 'button', onclick: nextTheme });
  function update() {
    if (!state.agent) return;
    const online = state.agent.status === 'online';
    toggle.setAttribute('aria-checked', String(online));
    toggle.setAttribute('aria-busy', String(flipping()));
    setText(label, online ? 'Online' : 'Offline');
    setText(name, state.agent.name);
    setText(role, words.role(state.agent.role));
    fill(face, avatar(state.agent));
    const ready = light();
    lamp.dataset.tone = ready.tone;
    const said = ready.text + (ready.mend?.[0] ?? '');
    if (text.dataset.said !== said) {
      text.dataset.said = said;
      fill(text, ready.text, ready.mend && [' ', h('button', { type: 'button', class: 'link', onclick: ready.mend[1] }, ready.mend[0])]);
    }
  }

  function drawTheme() {
    const choice = globalThis.tandemTheme.read();
    const [name_, words_] = { auto: ['auto', 'System'], light: ['sun', 'Light'], dark: ['moon', 'Dark'] }[choice];
    theme.setAttribute('aria-label', `Theme: ${words_}. Change`);
    fill(theme, icon(name_, 'icon-s'), words_);
  }

  let frame = requestAnimationFrame(function draw() {
    frame = requestAnimationFrame(draw);
    level.set(mic.level());
  });
  addEventListener('tandem:theme', drawTheme);
  const wrapped = setInterval(update, 5_000); // a wrap-up ends by its time
  closers.push(...['agent', 'colleague', 'call', 'readiness', 'ready', 'link'].map((topic) => on(topic, update)), () => clearInterval(wrapped),
    () => cancelAnimationFrame(frame), () => removeEventListener('tandem:theme', drawTheme));
  update();
  drawTheme();

  return h('section', { class: 'line', ariaLabel: 'Your line' },
    h('a', { class: 'line-who', href: '/account', testid: 'account-link', title: 'My account', data: { section: 'account' } }, face, h('div', { class: 'line-name' }, name, role)),
    h('div', { class: 'line-switch' }, label, toggle),
    h('div', { class: 'line-ready', role: 'status', testid: 'readiness' }, lamp, text),
    h('div', { class: 'line-mic' }, icon('mic', 'icon-s'), level.element),
    h('div', { class: 'line-tools' }, theme, h('button', { type: 'button', testid: 'sign-out', onclick: signOut }, icon('leave', 'icon-s'), 'Sign out')));
}

export function nextTheme() {
  const { CHOICES, read, choose } = globalThis.tandemTheme;
  choose(CHOICES[(CHOICES.indexOf(read()) + 1) % CHOICES.length]);
}

function watchBanner(banner) {
  let timer = null;
  let expired = false;
  const show = (...words_) => {
    fill(banner, icon('warn'), words_);
    banner.hidden = false;
  };
  const update = () => {
    clearTimeout(timer);
    if (expired) return;
    if (state.link !== 'down') {
      banner.hidden = true;
      return;
    }
    timer = setTimeout(show, BANNER_AFTER_MS, 'Reconnecting… The connection to the gateway is lost; calls cannot reach you until it is back.');
  };
  const expire = () => {
    if (expired) return;
    clearTimeout(timer); // nothing else is worth saying now
    expired = true;
    show('Your sign-in has ended. This call goes on; sign in again to control it.',
      h('button', { type: 'button', class: 'btn btn-s', onclick: () => dispatchEvent(new Event('tandem:expired')) }, 'Sign in'));
  };
  const renewed = () => {
    expired = false;
    update();
  };
  update();
  const offs = [on('link', update), on('expired', expire), on('signed-in', renewed)];
  return () => {
    clearTimeout(timer);
    offs.forEach((off) => off());
  };
}

/** Browsers allow sound after the first click or key: use it, wherever it lands. */
function unlockOnGesture() {
  const unlock = () => {
    if (!soundUnlocked()) void unlockSound();
    playRemote();
  };
  const events = ['pointerdown', 'keydown'];
  events.forEach((event) => addEventListener(event, unlock, { capture: true, passive: true }));
  return () => events.forEach((event) => removeEventListener(event, unlock, { capture: true }));
}
