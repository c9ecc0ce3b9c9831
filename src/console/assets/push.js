// Calls while the console is closed: this browser's subscription to pushes, and what keeps it from having one.

import { api, token } from './api.js';
import { workerOf } from './notify.js';
import { look } from './readiness.js';
import { state } from './state.js';

/** A push is there within a second or two, or not at all. */
const ARRIVES_MS_MAX = 10_000;

const TROUBLE = {
  insecure: 'The browser does this only at an https:// address.',
  install: 'On an iPhone or iPad, add this console to the Home Screen first (Share, then Add to Home Screen), and open it from there.',
  unsupported: 'This browser has no push messages. Use a current Chrome, Edge, Firefox or Safari.',
  disabled: 'This gateway sends no pushes: whoever runs it has switched them off.',
  token: 'You came in with an agent token, which this tab forgets when it closes. Sign in with your password to be rung while it is closed.',
  blocked: 'The browser refuses notifications for this address. Allow them in the address bar (lock sign), then come back.',
};

const OUTCOMES = {
  gone: 'The push service says that this browser takes no more. Switch it off and on again.',
  refused: 'The push service turned the message away. The gateway’s log says why.',
  failed: 'The gateway could not reach the push service: it may have no way out of its network.',
  timed_out: 'The push service did not answer the gateway in time.',
  crowded: 'Too many pushes are on their way at this moment. Try again.',
};

/** `{ kind: 'on' | 'off' | …, trouble, own, others }`: `trouble` says what to do where it cannot be switched on. */
export async function pushView(signal) {
  const listed = await api.get(path(), signal);
  const others = listed.items.filter(({ current }) => !current);
  const kind = await kindOf(listed);
  return { kind, trouble: TROUBLE[kind] ?? null, own: listed.items.find(({ current }) => current) ?? null, others, full: others.length >= listed.items_max };
}

async function kindOf(listed) {
  if (!globalThis.isSecureContext) return 'insecure';
  if (!('PushManager' in globalThis) || !('serviceWorker' in navigator)) return isApple() ? 'install' : 'unsupported';
  if (listed.application_server_key === null) return 'disabled';
  if (token.read()) return 'token';
  if (Notification.permission === 'denied') return 'blocked';
  const subscribed = await (await workerOf())?.pushManager.getSubscription();
  return subscribed && listed.items.some(({ current }) => current) ? 'on' : 'off';
}

/** From a click: the browser may ask for notifications and the microphone, which an answered call needs at once. */
export async function switchPushOn() {
  await look({ ask: true });
  if (Notification.permission !== 'granted') throw new Error(TROUBLE.blocked);
  await subscribe();
  remember(true);
}

export async function switchPushOff(id) {
  await api.delete(`${path()}?subscription_id=${encodeURIComponent(id)}`);
}

/** This browser's own: it forgets its subscription too. */
export async function switchOwnOff(id) {
  remember(false);
  await switchPushOff(id);
  await (await (await workerOf())?.pushManager.getSubscription())?.unsubscribe();
}

/** After a sign-in: whoever wanted it here last time is rung here again. */
export async function renewPush() {
  if (token.read() || !pushWanted() || Notification.permission !== 'granted') return;
  await subscribe();
}

/** Whether this agent wants to be rung in this browser. */
export function pushWanted() {
  try {
    return localStorage.getItem(wishKey()) === 'on';
  } catch {
    return false;
  }
}

/** Sends a push to this browser by the whole way; answers how long it took, in milliseconds. */
export async function testPush(own) {
  const began = performance.now();
  let done = () => {};
  const came = new Promise((resolve) => {
    const timer = setTimeout(resolve, ARRIVES_MS_MAX, null);
    const heard = ({ data }) => data?.kind === 'push-arrived' && resolve(Math.round(performance.now() - began));
    navigator.serviceWorker.addEventListener('message', heard);
    done = () => {
      clearTimeout(timer);
      navigator.serviceWorker.removeEventListener('message', heard);
    };
  });
  try {
    const { items } = await api.post(`${path()}/test`);
    const outcome = items.find(({ id }) => id === own.id)?.outcome;
    if (outcome !== 'taken') throw new Error(OUTCOMES[outcome] ?? 'This browser is not subscribed any more. Switch it off and on again.');
    const took = await came;
    if (took === null) throw new Error('The push service took the message, but nothing arrived here. Look whether the system shows this browser’s notifications.');
    return took;
  } finally {
    done();
  }
}

async function subscribe() {
  const { application_server_key: key } = await api.get(path());
  const worker = await workerOf();
  if (!worker || key === null) throw new Error(TROUBLE.disabled);
  const { endpoint, keys } = (await subscription(worker.pushManager, key)).toJSON();
  await api.put(path(), { endpoint, keys, device: deviceName() });
}

async function subscription(manager, key) {
  const known = await manager.getSubscription();
  if (known && sameKey(known.options.applicationServerKey, key)) return known;
  // The gateway has another key than when this was made.
  await known?.unsubscribe();
  try {
    return await manager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  } catch (error) {
    throw new Error(`The browser could not reach its maker’s push service, which brings the calls (${error.message}).`);
  }
}

function sameKey(buffer, text) {
  if (!buffer) return false;
  const bytes = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '') === text;
}

function path() {
  return `/v1/agents/${encodeURIComponent(state.agent.id)}/push-subscriptions`;
}

function remember(wish) {
  try {
    if (wish) localStorage.setItem(wishKey(), 'on');
    else localStorage.removeItem(wishKey());
  } catch { /* then it has to be switched on after each sign-in */ }
}

function wishKey() {
  return `tandem.push.${state.agent.id}`;
}

function isApple() {
  return /iPhone|iPad/.test(navigator.userAgent) || (navigator.userAgent.includes('Macintosh') && navigator.maxTouchPoints > 1);
}

/** In words that its user knows it by. */
function deviceName() {
  const agent = navigator.userAgent;
  const browser = [['Edg/', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari']].find(([mark]) => agent.includes(mark))?.[1] ?? 'Browser';
  const system = [['Android', 'Android'], ['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Windows', 'Windows'], ['Macintosh', 'Mac'], ['CrOS', 'ChromeOS'], ['Linux', 'Linux']].find(([mark]) => agent.includes(mark))?.[1];
  return system ? `${browser} on ${system}` : browser;
}
