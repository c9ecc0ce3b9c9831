// A call on the system's own screen while the page is hidden, through the service worker, so that it
// can carry Accept and Reject. Its clicks come back as messages.

/** offer id → what closes its notification */
const shown = new Map();
let onChoice = () => {};
let installed = null;

/** `fn(offerId, 'accept' | 'reject' | 'open')` is called when a notification is clicked. */
export function whenChosen(fn) {
  onChoice = fn;
}

export function mayNotify() {
  return globalThis.Notification?.permission === 'granted';
}

/** Shows a call; `title` and `body` are plain text. */
export async function notifyCall(offerId, title, body) {
  if (!mayNotify() || shown.has(offerId)) return;
  shown.set(offerId, () => {});
  const options = { body, tag: offerId, icon: '/icon-ringing.png', badge: '/badge.png', requireInteraction: true, renotify: true, data: { offerId } };
  const worker = await workerOf();
  if (!shown.has(offerId)) return; // over meanwhile
  if (worker) {
    await worker.showNotification(title, { ...options, actions: [{ action: 'accept', title: 'Accept' }, { action: 'reject', title: 'Reject' }] });
    const close = async () => (await worker.getNotifications({ tag: offerId })).forEach((each) => each.close());
    if (shown.has(offerId)) shown.set(offerId, close);
    else await close();
    return;
  }
  const notification = new Notification(title, options);
  notification.onclick = () => {
    window.focus();
    onChoice(offerId, 'open');
  };
  shown.set(offerId, () => notification.close());
}

/** Something that must not wait until the window is looked at again. */
export async function tellOutside(title, body) {
  if (!mayNotify()) return;
  const options = { body, tag: 'tandem', icon: '/favicon.svg', renotify: true };
  const worker = await registration();
  if (worker) await worker.showNotification(title, options);
  else new Notification(title, options).onclick = () => window.focus();
}

export function unnotifyCall(offerId) {
  const close = shown.get(offerId);
  shown.delete(offerId);
  void close?.();
}

navigator.serviceWorker?.addEventListener('message', ({ data }) => {
  if (data?.kind === 'call-notification') onChoice(data.offerId, data.choice);
});

/** The console's worker, installed if it is not; null in a private window, or at an address that is not secure. */
export async function workerOf() {
  try {
    installed ??= navigator.serviceWorker.register('/sw.js', { updateViaCache: 'none' }).then(() => navigator.serviceWorker.ready);
    return await installed;
  } catch {
    installed = null;
    return null;
  }
}
