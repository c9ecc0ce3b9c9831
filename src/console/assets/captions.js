// What is being said in calls, as text: one stream a call, however many places show it. Only while the page is seen:
// a browser opens few connections, and the stream begins with everything said so far.

import { EventStream } from './events.js';

/** call id → { segments by `speaker index`, listeners, close() } */
const followed = new Map();

/** Follows a call's words; `onSegments(segments)`, in the order of time. Answers a function that ends it. */
export function followWords(callId, onSegments) {
  const entry = followed.get(callId) ?? open(callId);
  entry.listeners.add(onSegments);
  if (entry.segments.size > 0) onSegments(inOrder(entry));
  return () => {
    entry.listeners.delete(onSegments);
    if (entry.listeners.size > 0 || followed.get(callId) !== entry) return;
    followed.delete(callId);
    entry.close();
  };
}

function open(callId) {
  let stream = null;
  const entry = { segments: new Map(), listeners: new Set(), close };
  const look = () => {
    if (document.hidden) {
      stream?.stop();
      stream = null;
    } else if (stream === null) {
      stream = new EventStream(`/v1/calls/${encodeURIComponent(callId)}/transcript/stream`, { onEvent, onReady: () => {}, onDown: () => {} });
      void stream.start();
    }
  };
  function onEvent(event) {
    // The stream's last frame: nobody listens to the call any more.
    if (event.type === 'transcript') return close();
    if (event.type !== 'segment') return;
    entry.segments.set(`${event.speaker} ${event.index}`, event);
    for (const listener of entry.listeners) listener(inOrder(entry));
  }
  function close() {
    document.removeEventListener('visibilitychange', look);
    stream?.stop();
  }
  document.addEventListener('visibilitychange', look);
  look();
  followed.set(callId, entry);
  return entry;
}

function inOrder({ segments }) {
  return [...segments.values()].filter(({ text }) => text).sort((one, other) => one.start_ms - other.start_ms);
}
