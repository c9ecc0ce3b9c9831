// Sound to the gateway and back, by the way a call would take: a leg that hears itself.

import { audioContext, soundUnlocked } from './levels.js';
import { mic } from './mic.js';
import { Peer } from './peer.js';

/** A handshake over a poor line takes two or three seconds; a closed firewall for ever. */
const CONNECT_MS_MAX = 6_000;
/** A tenth of a second of sound. */
const PACKETS = 5;
const HEAR_MS_MAX = 2_000;
const LOOK_MS = 50;

/** Answers `{ roundTripMs }`, or `{ trouble }` in words. */
export async function probeMedia(agentId) {
  const { track, end } = source();
  if (!track) return { trouble: 'Sound is not unlocked yet: click “Unlock sound”.' };
  let settle;
  const settled = new Promise((resolve) => { settle = resolve; });
  const peer = new Peer(track, () => {
    if (peer.phase === 'connected' || peer.phase === 'failed') settle();
  });
  const deadline = setTimeout(settle, CONNECT_MS_MAX);
  try {
    peer.speak(true);
    peer.open(`/v1/agents/${encodeURIComponent(agentId)}/readiness/media`).catch(() => { /* the peer says why */ });
    await settled;
    if (peer.phase !== 'connected') return { trouble: peer.trouble ?? 'No audio path to the gateway opened. A firewall may block its UDP ports.' };
    return await hear(peer.connection);
  } finally {
    clearTimeout(deadline);
    peer.close();
    end();
  }
}

async function hear(connection) {
  const until = performance.now() + HEAR_MS_MAX;
  while (performance.now() < until) {
    const { packets, roundTripMs } = sample(await connection.getStats());
    if (packets >= PACKETS && roundTripMs !== null) return { roundTripMs };
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return { trouble: 'Sound reaches the gateway’s door and does not come back. A firewall may let only one way through.' };
}

function sample(stats) {
  let packets = 0;
  let roundTripMs = null;
  for (const entry of stats.values()) {
    if (entry.type === 'inbound-rtp' && entry.kind === 'audio') packets += entry.packetsReceived ?? 0;
    if (entry.type === 'candidate-pair' && entry.state === 'succeeded' && entry.currentRoundTripTime !== undefined) roundTripMs = Math.round(entry.currentRoundTripTime * 1000);
  }
  return { packets, roundTripMs };
}

/** A soft tone that nobody hears; the microphone where the browser makes no sound yet. */
function source() {
  if (!soundUnlocked()) return { track: mic.track()?.clone() ?? null, end: () => {} };
  const ctx = audioContext();
  const tone = new OscillatorNode(ctx, { frequency: 440 });
  const quiet = new GainNode(ctx, { gain: 0.05 });
  const out = ctx.createMediaStreamDestination();
  tone.connect(quiet).connect(out);
  tone.start();
  return { track: out.stream.getAudioTracks()[0], end: () => { tone.stop(); quiet.disconnect(); } };
}
