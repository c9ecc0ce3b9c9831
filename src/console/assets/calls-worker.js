// The service worker's part in a call: a click on its notification goes to an open console.
// A classic script, so that a larger worker can import it.

self.addEventListener('notificationclick', (event) => {
  const { offerId } = event.notification.data ?? {};
  if (!offerId) return;
  event.notification.close();
  event.waitUntil(choose(offerId, event.action || 'open'));
});

async function choose(offerId, choice) {
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  // Every tab is told; whoever is the phone acts.
  for (const each of windows) each.postMessage({ kind: 'call-notification', offerId, choice });
  if (choice === 'reject') return;
  if (windows.length > 0) await windows[0].focus();
  else await self.clients.openWindow('/');
}
