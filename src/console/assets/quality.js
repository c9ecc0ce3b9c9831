// The connection's quality in words, from the browser's own counters (W3C webrtc-stats).

/** Two seconds are long enough for loss to mean something and short enough to act on. */
const EVERY_MS = 2_000;

/** Watches a peer connection; `onChange({ word, detail, tone })`. Answers a function that ends it. */
export function watchQuality(connection, onChange) {
  let before = null;
  let said = null;
  let ended = false;
  const timer = setInterval(async () => {
    if (connection.connectionState !== 'connected') return;
    const now = sample(await connection.getStats());
    if (ended) return; // meanwhile: what it says would be taken for the next call's
    if (before) {
      said = { ...judge(before, now), ...emptyLooks(said, before, now) };
      onChange(said);
    }
    before = now;
  }, EVERY_MS);
  return () => {
    ended = true;
    clearInterval(timer);
  };
}

/** For how many looks in a row nothing came in, and nothing went out. */
function emptyLooks(said, before, now) {
  return {
    emptyIn: now.received > before.received ? 0 : (said?.emptyIn ?? 0) + 1,
    emptyOut: now.sent > before.sent ? 0 : (said?.emptyOut ?? 0) + 1,
  };
}

/** Two samples, 2 s apart, to a verdict. */
export function judge(before, now) {
  const received = now.received - before.received;
  const lost = Math.max(0, now.lost - before.lost);
  const lossIn = received + lost > 0 ? lost / (received + lost) : 0;
  const loss = Math.max(lossIn, now.lossOut);
  const rttMs = now.rttMs;
  const detail = [
    rttMs === null ? null : `${Math.round(rttMs)} ms`,
    `${(loss * 100).toFixed(loss > 0 && loss < 0.1 ? 1 : 0)} % lost`,
  ].filter(Boolean).join(', ');
  if (received === 0) return { word: 'No sound arriving', detail: '', tone: 'stop' };
  if (loss > 0.08 || rttMs > 700) return { word: 'Poor line', detail, tone: 'stop' };
  if (loss > 0.03 || rttMs > 350 || now.jitterMs > 60) return { word: 'Fair line', detail, tone: 'warn' };
  if (loss > 0.008 || rttMs > 180 || now.jitterMs > 30) return { word: 'Good line', detail, tone: 'go' };
  return { word: 'Excellent line', detail, tone: 'go' };
}

/** Both halves of the way in one line: ours as judged here, the customer's as the gateway measures it (a MOS). */
export function lineWords(near, far) {
  const theirs = farWord(far?.mos);
  const title = [near?.detail && `You to the gateway: ${near.detail}`, far && theirs && `Customer to the gateway: ${theirs.word}`].filter(Boolean).join('. ');
  if (near && near.tone !== 'go') return { tone: near.tone, text: near.detail ? `${near.word} · ${near.detail}` : near.word, title };
  if (theirs && theirs.tone !== 'go') return { tone: theirs.tone, text: `Customer’s line: ${theirs.word}`, title };
  if (!near) return { tone: 'go', text: 'Connected', title };
  return { tone: 'go', text: `${near.word} · ${near.detail}`, title };
}

/** ITU-T G.107 Annex B, in three words. */
function farWord(mos) {
  if (mos === null || mos === undefined) return null;
  if (mos >= 4.0) return { word: 'good', tone: 'go' };
  if (mos >= 3.6) return { word: 'fair', tone: 'warn' };
  return { word: 'poor', tone: 'stop' };
}

function sample(stats) {
  const found = { received: 0, sent: 0, lost: 0, jitterMs: 0, lossOut: 0, rttMs: null };
  for (const entry of stats.values()) {
    if (entry.type === 'inbound-rtp' && entry.kind === 'audio') {
      found.received += entry.packetsReceived ?? 0;
      found.lost += entry.packetsLost ?? 0;
      found.jitterMs = (entry.jitter ?? 0) * 1000;
    } else if (entry.type === 'outbound-rtp' && entry.kind === 'audio') {
      found.sent += entry.packetsSent ?? 0;
    } else if (entry.type === 'remote-inbound-rtp' && entry.kind === 'audio') {
      found.lossOut = entry.fractionLost ?? 0;
    } else if (entry.type === 'candidate-pair' && entry.nominated && entry.currentRoundTripTime !== undefined) {
      found.rttMs = entry.currentRoundTripTime * 1000;
    }
  }
  return found;
}
