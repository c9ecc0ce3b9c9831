// What is being said in calls, as text: one stream a call, however many places show it.

import { EventStream } from './events.js';

/** call id → { stream, segments by `speaker index`, listeners } */
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
    entry.stream.stop();
  };
}

function open(callId) {
  const entry = { segments: new Map(), listeners: new Set(), stream: null };
  entry.stream = new EventStream(`/v1/calls/${encodeURIComponent(callId)}/transcript/stream`, {
    onEvent: (event) => {
      // The stream's last frame: nobody listens to the call any more.
      if (event.type === 'transcript') return entry.stream.stop();
      if (event.type !== 'segment') return;
      entry.segments.set(`${event.speaker} ${event.index}`, event);
      for (const listener of entry.listeners) listener(inOrder(entry));
    },
    onReady: () => {},
    onDown: () => {},
  });
  followed.set(callId, entry);
  void entry.stream.start();
  return entry;
}

function inOrder({ segments }) {
  return [...segments.values()].filter(({ text }) => text).sort((one, other) => one.start_ms - other.start_ms);
}
