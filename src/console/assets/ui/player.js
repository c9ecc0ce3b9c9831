// The recording of a call: fetched with the token, played and drawn in the browser.

import { api } from '../api.js';
import { fill, h, icon } from './dom.js';
import { bytes, duration } from './format.js';
import { failed, notice, skeleton } from './parts.js';
import { waveform } from './waveform.js';
import { wavPeaks } from './wav.js';

/** 16 kHz stereo is 64 kB a second: longer ones are fetched when somebody wants to hear them. */
const AUTOLOAD_MS_MAX = 10 * 60_000;
const BYTES_PER_MS = 64;
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];
const BUCKETS = 1_600;

/** Fills `root` for a call; `scope` ends downloads and frees the file. */
export function showPlayer(root, scope, call) {
  const { state, duration_ms: lengthMs, gaps } = call.recording ?? { state: 'none' };
  if (state === 'none') return fill(root, h('p', { class: 'dim' }, call.answered_at ? 'This call is not recorded.' : call.state === 'ended' ? 'This call was not answered, so there is no recording.' : 'Recording starts when the call is answered.'));
  if (state === 'recording') return fill(root, h('p', { class: 'dim' }, 'Recording. It can be played shortly after the call ends.'));
  if (state === 'paused') return fill(root, h('p', { class: 'dim' }, 'The recording is paused: what is said now is not kept.'));
  if (state === 'deleted') return fill(root, h('p', { class: 'dim' }, 'The recording was deleted: the time it is kept for is over, or somebody removed it.'));
  if (state === 'failed') return fill(root, notice('stop', 'warn', 'The recording failed. The operator finds the reason in the gateway’s log.'));
  const load = () => loadInto(root, scope, call, gaps);
  if ((lengthMs ?? 0) <= AUTOLOAD_MS_MAX) return load();
  return fill(root, h('button', { type: 'button', class: 'btn', onclick: load }, icon('play'), `Load recording (${duration(lengthMs)}, at most ${bytes(lengthMs * BYTES_PER_MS)})`));
}

async function loadInto(root, scope, call, gaps) {
  fill(root, skeleton(3));
  let blob;
  try {
    blob = await api.blob(`/v1/calls/${call.id}/recording`, scope.signal);
  } catch (error) {
    if (!scope.gone) fill(root, failed(error, () => loadInto(root, scope, call, gaps)));
    return;
  }
  if (scope.gone) return;
  const wav = blob.type !== 'audio/ogg';
  const url = URL.createObjectURL(blob);
  scope.add(() => URL.revokeObjectURL(url));

  const audio = h('audio', { controls: true, preload: 'auto', testid: 'recording-player', src: url });
  const wave = waveform((seconds) => { audio.currentTime = seconds; });
  scope.add(() => {
    audio.pause();
    wave.close();
  });
  const speeds = SPEEDS.map((speed) => h('button', { type: 'button', ariaPressed: speed === 1, onclick: () => setSpeed(speed) }, `${speed}×`));
  const setSpeed = (speed) => {
    audio.playbackRate = speed;
    speeds.forEach((button, i) => button.setAttribute('aria-pressed', String(SPEEDS[i] === speed)));
  };
  let frame = 0;
  const follow = () => {
    wave.at(audio.currentTime);
    if (!audio.paused) frame = requestAnimationFrame(follow);
  };
  for (const event of ['play', 'seeking', 'seeked', 'pause', 'ended']) {
    audio.addEventListener(event, () => {
      cancelAnimationFrame(frame);
      follow();
    });
  }
  scope.add(() => cancelAnimationFrame(frame));

  fill(root, h('div', { class: 'player' }, wave.element, audio,
    h('div', { class: 'player-tools' },
      h('div', { class: 'speed', role: 'group', ariaLabel: 'Speed' }, speeds),
      gaps > 0 && h('span', { class: 'dim small' }, gaps === 1 ? '1 gap was filled with silence' : `${gaps} gaps were filled with silence`),
      h('a', { class: 'btn btn-s', href: url, download: `${call.id}.${wav ? 'wav' : 'opus'}` }, icon('download', 'icon-s'), `Download (${bytes(blob.size)})`))));
  if (!wav) return wave.element.remove(); // packets nobody decoded cannot be drawn
  try {
    const { peaks, seconds } = await wavPeaks(blob, BUCKETS);
    wave.load(peaks, seconds);
  } catch (error) {
    fill(wave.element, h('p', { class: 'card-pad dim' }, error.message)); // it can still be played
  }
}
