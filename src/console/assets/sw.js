// The console's worker. It keeps no page of the console, so that after an update nobody runs half old ones: only a small page
// that says what is wrong while the gateway cannot be reached. It shows calls that are pushed while the console is closed, and
// carries the clicks on their notifications to the gateway or to the console.

/** Count up when a file of it changes: this file is what browsers compare. */
const OFFLINE = 'tandem-offline-1';
const OFFLINE_FILES = ['/offline.html', '/offline.js', '/theme.js', '/styles/tokens.css', '/styles/offline.css', '/favicon.svg'];
/** A notification sounds once: it is shown again, so that a call rings. */
const RING_AGAIN_MS = 5_000;
/** How long what is over and needs nothing is shown. */
const GLANCE_MS = 3_000;
const ENDS = { rejected: 'Call rejected', answered_elsewhere: 'Call answered by somebody else', agent_left: 'You went offline', call_failed: 'The call could not be connected' };

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));

async function install() {
  const cache = await caches.open(OFFLINE);
  await cache.addAll(OFFLINE_FILES.map((path) => new Request(path, { cache: 'reload' })));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== OFFLINE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET') return;
  if (request.mode === 'navigate') event.respondWith(fetch(request).catch(() => kept('/offline.html')));
  else if (OFFLINE_FILES.includes(new URL(request.url).pathname)) event.respondWith(fetch(request).catch(() => kept(request)));
});

async function kept(request) {
  return await caches.match(request, { ignoreVary: true, ignoreSearch: true }) ?? Response.error();
}

// ---- calls while the console is closed ----

/** Offers that are over, or that their agent has done with: what is about to show one once more must not bring it back. */
const done = new Set();

self.addEventListener('push', (event) => event.waitUntil(pushed(read(event.data))));
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(subscribeAgain(event)));

function read(data) {
  try {
    return data.json();
  } catch {
    return null;
  }
}

async function pushed(message) {
  if (message?.kind === 'offer') return ring(message);
  if (message?.kind === 'over') return over(message);
  if (message?.kind === 'test') return arrived();
  // Of a newer gateway.
  return show('Tandem', { body: 'Open the console: it has news.', tag: 'news', data: {} });
}

async function ring(offer) {
  const until = Date.now() + offer.rings_for_ms;
  await showOffer(offer);
  const told = await post(`/v1/offers/${offer.offer_id}/receipts`, { kind: 'shown' });
  if (told?.status === 401) return signedOut(offer);
  if (!(await stillRings(offer))) return close(offer.offer_id);
  for (;;) {
    await pause(RING_AGAIN_MS);
    if ((await shownOf(offer.offer_id)).length === 0 || done.has(offer.offer_id)) return undefined;
    if (Date.now() > until) return close(offer.offer_id);
    await showOffer(offer);
    if (done.has(offer.offer_id)) return close(offer.offer_id);
  }
}

function showOffer({ offer_id: offerId, call_id: callId, name, phone, country, reason }) {
  return show('Incoming WhatsApp call', {
    body: [name ?? phone, name && phone, country && new Intl.DisplayNames('en', { type: 'region' }).of(country), reason].filter(Boolean).join('\n'),
    tag: offerId,
    icon: '/icon-ringing.png',
    requireInteraction: true,
    renotify: true,
    vibrate: [400, 200, 400, 200, 800],
    actions: [{ action: 'accept', title: 'Accept' }, { action: 'reject', title: 'Reject' }],
    data: { offerId, callId, pushed: true },
  });
}

/** A push that was long on its way comes after the call. */
async function stillRings({ offer_id: offerId, call_id: callId }) {
  const response = await ask(`/v1/calls/${callId}`);
  if (!response?.ok) return response?.status !== 404;
  const { offers } = await response.json();
  return offers.some(({ id, outcome }) => id === offerId && outcome === 'pending');
}

async function signedOut({ offer_id: offerId, name, phone }) {
  await close(offerId);
  await show('Sign in to take calls', { body: `${name ?? phone ?? 'A customer'} called. This browser is not signed in any more.`, tag: 'signed-out', data: {} });
}

async function over({ offer_id: offerId, call_id: callId, name, cause }) {
  done.add(offerId);
  await close(offerId);
  const who = name ?? 'A customer';
  if (cause === 'not_shown') {
    return show('You were set offline', { body: `${who} called and this browser did not show it in time. Open the console to take calls again.`, tag: 'away', requireInteraction: true, data: { callId } });
  }
  if (cause === 'ring_timeout' || cause === 'caller_cancelled') {
    return show('Missed WhatsApp call', { body: who, tag: `missed-${offerId}`, silent: true, requireInteraction: true, data: { callId } });
  }
  // Every push has to show something: browsers take pushes away from who shows nothing.
  await show(ENDS[cause] ?? 'Call answered', { body: who, tag: `over-${offerId}`, silent: true, data: { callId } });
  await pause(GLANCE_MS);
  return close(`over-${offerId}`);
}

/** A test: the console that asked for it is told. */
async function arrived() {
  await show('Calls will ring here', { body: 'The test push arrived. Also while the console is closed, calls are shown like this.', tag: 'test', data: {} });
  for (const each of await windows()) each.postMessage({ kind: 'push-arrived' });
}

/** The browser gave itself another address. */
async function subscribeAgain({ oldSubscription, newSubscription }) {
  const session = await (await ask('/v1/session'))?.json();
  if (!session?.agent) return;
  const path = `/v1/agents/${encodeURIComponent(session.agent.id)}/push-subscriptions`;
  const { application_server_key: key, items } = await (await ask(path)).json();
  const fresh = newSubscription ?? await self.registration.pushManager.subscribe(oldSubscription?.options ?? { userVisibleOnly: true, applicationServerKey: key });
  const { endpoint, keys } = fresh.toJSON();
  await post(path, { endpoint, keys, device: items.find(({ current }) => current)?.device ?? 'Browser' }, 'PUT');
}

// ---- clicks ----

self.addEventListener('notificationclose', (event) => done.add(event.notification.tag));
self.addEventListener('notificationclick', (event) => {
  done.add(event.notification.tag);
  event.notification.close();
  event.waitUntil(choose(event.notification.data ?? {}, event.action || 'open'));
});

async function choose({ offerId, callId, pushed: wasPushed }, choice) {
  // No page may be awake to do it.
  if (wasPushed && choice === 'reject') return reject(offerId, callId);
  const open = await windows();
  // Every tab is told; whoever is the phone acts.
  if (offerId) for (const each of open) each.postMessage({ kind: 'call-notification', offerId, choice });
  if (choice === 'reject') return undefined;
  if (open.length > 0) return open[0].focus();
  const place = callId ? `/calls/${callId}` : '/';
  return self.clients.openWindow(choice === 'accept' ? `${place}#answer=${offerId}` : place);
}

async function reject(offerId, callId) {
  const response = await post(`/v1/offers/${offerId}/reject`);
  // 409: it rings no more, which is what was wished.
  if (response?.ok || response?.status === 409) return;
  await show('The call was not rejected', { body: 'The gateway could not be reached, or you are signed out. It rings until its time is over.', tag: `missed-${offerId}`, data: { callId } });
}

// ---- the system’s screen, and the gateway ----

function show(title, options) {
  return self.registration.showNotification(title, { icon: '/icon-192.png', badge: '/badge.png', ...options });
}

function shownOf(tag) {
  return self.registration.getNotifications({ tag });
}

async function close(tag) {
  for (const each of await shownOf(tag)) each.close();
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function windows() {
  return self.clients.matchAll({ type: 'window', includeUncontrolled: true });
}

/** As the signed-in browser; null when the gateway cannot be reached. */
async function ask(path, options = {}) {
  try {
    return await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...options });
  } catch {
    return null;
  }
}

function post(path, body, method = 'POST') {
  return ask(path, { method, ...(body && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }) });
}
