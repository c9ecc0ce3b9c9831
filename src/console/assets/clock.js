// The gateway's time. An agent's clock may be minutes off, and a call's duration must not be.

/** HTTP dates are whole seconds, and an answer takes time: smaller differences are noise. */
const NOISE_MS = 2_000;

let offsetMs = 0;

export function noteServerDate(header) {
  const served = Date.parse(header ?? '');
  if (Number.isNaN(served)) return;
  const difference = Date.now() - served - 500; // the date was cut down by half a second on average
  offsetMs = Math.abs(difference) > NOISE_MS ? difference : 0;
}

/** Now, by the gateway's clock, in ms since the epoch. */
export function serverNow() {
  return Date.now() - offsetMs;
}

/** Milliseconds since an RFC 3339 time, never negative. */
export function msSince(time) {
  return Math.max(0, serverNow() - Date.parse(time));
}
