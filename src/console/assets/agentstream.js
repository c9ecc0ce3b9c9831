// The agent's event stream as a tab sees it: through the worker that holds it for all tabs, or its own where there is
// no such worker.

import { authorization, unauthorized } from './api.js';
import { EventStream } from './events.js';

/** As an `EventStream`, with the same handlers, `stop()` and `stopped`; `name` tells agents apart that share a browser. */
export function openAgentStream(path, name, handlers) {
  // Without HTTPS there are no locks.
  if (!globalThis.SharedWorker || !navigator.locks) return ownStream(path, handlers);
  let letGo = () => {};
  let instead = null;
  let stopped = false;
  const worker = new SharedWorker('/stream-worker.js', { type: 'module', name });
  worker.onerror = () => {
    if (!stopped) instead ??= ownStream(path, handlers);
  };
  worker.port.onmessage = ({ data }) => {
    if (stopped) return;
    if (data.kind === 'event') handlers.onEvent(data.event);
    else if (data.kind === 'ready') handlers.onReady();
    else if (data.kind === 'down') handlers.onDown();
    else unauthorized();
  };
  const lock = `tandem-stream-${crypto.randomUUID()}`;
  void navigator.locks.request(lock, () => new Promise((resolve) => {
    letGo = resolve;
    if (stopped) resolve();
    else worker.port.postMessage({ path, lock, headers: authorization() });
  }));
  return {
    get stopped() {
      return stopped;
    },
    stop() {
      stopped = true;
      instead?.stop();
      letGo();
    },
  };
}

function ownStream(path, handlers) {
  const stream = new EventStream(path, handlers);
  void stream.start();
  return stream;
}
