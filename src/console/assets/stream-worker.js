// The event stream of one agent, once for all tabs of a browser. Over HTTP/1.1 a browser opens six connections to a
// gateway and no more: six tabs with a stream each would leave none for anything else. And a worker's timers run on
// while all its pages are hidden.

import { whenUnauthorized } from './api.js';
import { EventStream } from './events.js';

/** The tabs' ports. */
const tabs = new Set();
let stream = null;
let live = false;
/** What the tab that came last is let in with. */
let headers = {};

addEventListener('connect', ({ ports: [tab] }) => {
  tab.onmessage = ({ data }) => join(tab, data);
});
whenUnauthorized(() => tell({ kind: 'unauthorized' }));

function join(tab, { path, lock, headers: given }) {
  tabs.add(tab);
  headers = given;
  // The tab holds it for as long as it is there, however it goes.
  void navigator.locks.request(lock, () => leave(tab));
  if (live) tab.postMessage({ kind: 'ready' });
  if (stream) return stream.retryNow();
  stream = new EventStream(path, {
    headers: () => headers,
    onEvent: (event) => tell({ kind: 'event', event }),
    onReady: () => {
      live = true;
      tell({ kind: 'ready' });
    },
    onDown: () => {
      live = false;
      tell({ kind: 'down' });
    },
  });
  return void stream.start();
}

function leave(tab) {
  tabs.delete(tab);
  if (tabs.size > 0) return;
  stream.stop();
  stream = null;
  live = false;
}

function tell(message) {
  for (const tab of tabs) tab.postMessage(message);
}
