// Where neither side speaks.

/** Room noise stays below; speech of a quiet talker does not. */
const LOUD = 0.02;
/** Shorter pauses belong to the way people talk. */
const LONG_S = 1.2;

/** From the peaks of both channels to stretches `{ from, to }` in seconds. */
export function silences(peaks, seconds) {
  const buckets = peaks[0]?.length ?? 0;
  const found = [];
  let from = null;
  for (let i = 0; i <= buckets; i += 1) {
    const silent = i < buckets && peaks.every((channel) => channel[i] < LOUD);
    if (silent && from === null) from = i;
    if (!silent && from !== null) {
      const stretch = { from: (from / buckets) * seconds, to: (i / buckets) * seconds };
      if (stretch.to - stretch.from >= LONG_S) found.push(stretch);
      from = null;
    }
  }
  return found;
}
