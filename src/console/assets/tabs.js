// Several tabs of one agent in one browser: all show everything, one is the phone. The phone is
// the tab that holds the lock; when it closes, the lock moves and the next tab takes the audio.

let channel = null;
let letGo = null;
let abort = null;
let leading = false;

/**
 * Joins the tabs of this agent. `onLead()` is called when this tab becomes the phone,
 * `onMessage(message)` for what the other tabs say.
 */
export function joinTabs(agentId, { onLead, onMessage }) {
  const name = `tandem:${agentId}`;
  if ('BroadcastChannel' in globalThis) {
    channel = new BroadcastChannel(name);
    channel.onmessage = (event) => onMessage(event.data);
  }
  const lead = () => {
    leading = true;
    onLead();
  };
  if (!navigator.locks) {
    lead(); // only without HTTPS, where there is no microphone either
    return;
  }
  abort = new AbortController();
  const untilReleased = () => new Promise((resolve) => {
    letGo = resolve;
    lead();
  });
  navigator.locks.request(name, { signal: abort.signal }, untilReleased).catch(() => { /* left before its turn came */ });
}

export function leaveTabs() {
  abort?.abort();
  letGo?.();
  channel?.close();
  channel = null;
  letGo = null;
  abort = null;
  leading = false;
}

/** Whether this tab is the phone. */
export function isLeader() {
  return leading;
}

/** Tells the agent's other tabs. */
export function tellTabs(message) {
  channel?.postMessage(message);
}
