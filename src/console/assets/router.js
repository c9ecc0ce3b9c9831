// Paths to views. Links are plain links: the router takes over those that stay in the console.

import { emit } from './bus.js';
import { Scope } from './ui/scope.js';
import { fill, h } from './ui/dom.js';
import { empty } from './ui/parts.js';

/** A list that has not come back when its requests end is scrolled by hand. */
const RETURN_MS = 20_000;
/** Whoever does one of these has found another place. */
const HANDS = ['wheel', 'touchstart', 'pointerdown', 'keydown'];

let table = [];
let scope = null;
let first = true;

/** `routes`: [pattern with `:name`, view(root, scope, parameters, searchParams), navigation section] */
export function startRouter(routes) {
  table = routes;
  first = true;
  document.addEventListener('click', onClick);
  addEventListener('popstate', onPop);
  show();
}

export function stopRouter() {
  document.removeEventListener('click', onClick);
  removeEventListener('popstate', onPop);
  scope?.close();
  scope = null;
}

/** Asks before the page is left: `ask()` answers, in its time, whether to go. Until `scope` closes. */
export function holdPage(holder, ask) {
  held = { ask, path: location.pathname + location.search };
  holder.add(() => { held = null; });
}

let held = null;

/** Goes at once, or when whoever holds the page lets it go. */
async function leave(path) {
  const { ask } = held;
  if (!await ask() || held?.ask !== ask) return;
  held = null;
  go(path);
}

/** Back and forward have moved the address already: it is put back for as long as the page stays. */
function onPop() {
  if (held === null) {
    show();
    return returnTo(history.state?.top ?? 0);
  }
  const wanted = location.pathname + location.search;
  history.pushState(null, '', held.path);
  return void leave(wanted);
}

export function go(path) {
  if (held !== null) return void leave(path);
  if (path !== location.pathname + location.search) {
    history.replaceState({ ...history.state, top: document.getElementById('view').scrollTop }, '');
    history.pushState(null, '', path);
  }
  return show();
}

/** Scrolls to where the page was left, as soon as it is drawn so far. */
function returnTo(top) {
  if (top === 0) return;
  const { signal } = scope;
  const view = document.getElementById('view');
  const until = performance.now() + RETURN_MS;
  let moved = false;
  for (const hand of HANDS) addEventListener(hand, () => { moved = true; }, { once: true, passive: true, signal });
  const step = () => {
    if (signal.aborted || moved) return;
    view.scrollTop = top;
    if (view.scrollTop < top - 1 && performance.now() < until) requestAnimationFrame(step);
  };
  step();
}

/** Draws the page anew, as if it were opened now. */
export function redraw() {
  show();
}

export function setTitle(title) {
  pageTitle = title;
  renderTitle();
}

/** What rings goes before the page's title; null when nothing rings. */
export function setRingingTitle(text) {
  ringingTitle = text;
  renderTitle();
}

let pageTitle = '';
let ringingTitle = null;

function renderTitle() {
  document.title = [ringingTitle, pageTitle, 'Tandem'].filter(Boolean).join(' · ');
}

function onClick(event) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.('a[href]');
  if (link) {
    if (link.target || link.hasAttribute('download') || link.origin !== location.origin || link.getAttribute('href').startsWith('#')) return;
    event.preventDefault();
    go(link.pathname + link.search);
    return;
  }
  const row = event.target.closest?.('tr[data-href]');
  if (row && !event.target.closest('button, input, select') && !String(getSelection())) go(row.dataset.href);
}

function show() {
  scope?.close();
  scope = new Scope();
  const root = document.getElementById('view');
  const [view, parameters, section] = match(location.pathname);
  fill(root);
  root.scrollTop = 0;
  for (const link of document.querySelectorAll('.nav a, .top a, .line-who')) {
    if (link.dataset.section === section) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  view(root, scope, parameters, new URLSearchParams(location.search));
  emit('page');
  // A screen reader should hear where it is now; at the first page it is at the top anyway.
  if (!first) (root.querySelector('h1') ?? root).focus({ preventScroll: true });
  first = false;
}

function match(path) {
  const parts = path.split('/').filter(Boolean);
  for (const [pattern, view, section] of table) {
    const wanted = pattern.split('/').filter(Boolean);
    if (wanted.length !== parts.length) continue;
    const parameters = {};
    const fits = wanted.every((want, i) => {
      if (!want.startsWith(':')) return want === parts[i];
      parameters[want.slice(1)] = decode(parts[i]);
      return true;
    });
    if (fits) return [view, parameters, section];
  }
  return [nowhere, {}, null];
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function nowhere(root) {
  setTitle('Not found');
  fill(root, h('div', { class: 'page' }, h('h1', { tabindex: -1 }, 'There is no such page'),
    h('div', { class: 'card' }, empty('search', 'Nothing here', 'The address does not belong to a page of the console.'))));
}
