// The recording of a call: fetched with the caller's right, drawn, and played with controls of our own,
// so that either voice can be heard alone and pauses be jumped over.

import { api } from '../api.js';
import { bdi, fill, h, icon, setText } from './dom.js';
import { bytes, duration } from './format.js';
import { failed, notice, skeleton } from './parts.js';
import { save } from './save.js';
import { silences } from './silences.js';
import { waveform } from './waveform.js';
import { soundPeaks, wavPeaks } from './wav.js';

/** 16 kHz stereo is 64 kB a second: longer ones are fetched when somebody wants to hear them. */
const AUTOLOAD_MS_MAX = 10 * 60_000;
const BYTES_PER_MS = 64;
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];
/** Fine enough to find pauses of speech, up to a length at which nobody sees the difference. */
const BUCKETS_PER_S = 10;
const [BUCKETS_MIN, BUCKETS_MAX] = [1_600, 72_000];
const STEP_S = 5;
/** So much of a pause is left when it is jumped over. */
const BREATH_S = 0.2;
const CHANNELS = ['Customer', 'Agent'];

/**
 * Fills `root` for a call; `scope` ends downloads and frees the file. `onReady(player)` hands out
 * `{ seek(ms), play(), onTime(fn), blob }` once it can be played.
 */
export function showPlayer(root, scope, call, onReady = () => {}) {
  const { state, duration_ms: lengthMs } = call.recording ?? { state: 'none' };
  if (state === 'none') return fill(root, h('p', { class: 'dim' }, call.answered_at ? 'This call is not recorded.' : call.state === 'ended' ? 'This call was not answered, so there is no recording.' : 'Recording starts when the call is answered.'));
  if (state === 'recording') return fill(root, h('p', { class: 'dim' }, 'Recording. It can be played shortly after the call ends.'));
  if (state === 'paused') return fill(root, h('p', { class: 'dim' }, 'The recording is paused: what is said now is not kept.'));
  if (state === 'deleted') return fill(root, h('p', { class: 'dim' }, 'The recording was deleted: the time it is kept for is over, or somebody removed it.'));
  if (state === 'failed') return fill(root, notice('stop', 'warn', 'The recording failed. The operator finds the reason in the gateway’s log.'));
  const load = () => loadInto(root, scope, call, onReady);
  if ((lengthMs ?? 0) <= AUTOLOAD_MS_MAX) return load();
  return fill(root, h('button', { type: 'button', class: 'btn', onclick: load }, icon('play'), `Load recording (${duration(lengthMs)}, at most ${bytes(lengthMs * BYTES_PER_MS)})`));
}

async function loadInto(root, scope, call, onReady) {
  const far = h('p', { class: 'dim small', role: 'status' });
  fill(root, skeleton(3), far);
  let blob;
  try {
    blob = await api.download(`/v1/calls/${call.id}/recording`, (count) => setText(far, `Loading the recording: ${bytes(count)}…`), scope.signal);
  } catch (error) {
    if (!scope.gone) fill(root, failed(error, () => loadInto(root, scope, call, onReady)));
    return;
  }
  if (!scope.gone) build(root, scope, call, blob, onReady);
}

function build(root, scope, { id, recording }, blob, onReady) {
  const wav = !blob.type.startsWith('audio/ogg');
  const url = URL.createObjectURL(blob);
  const audio = h('audio', { preload: 'auto', src: url, testid: 'recording-audio' });
  const desk = mixer(audio);
  const watchers = new Set();
  let pauses = [];
  let skipping = false;

  const seek = (seconds) => {
    audio.currentTime = Math.min(Number.isFinite(audio.duration) ? audio.duration : Infinity, Math.max(0, seconds));
  };
  const wave = waveform(seek);
  const sign = h('span');
  const play = h('button', { type: 'button', class: 'btn btn-primary player-play', testid: 'player-play', onclick: toggle }, sign);
  const time = h('span', { class: 'player-time', testid: 'player-time' });
  const tell = h('span', { class: 'dim small', role: 'status' });

  async function toggle() {
    if (!audio.paused) return audio.pause();
    try {
      desk.wake();
      await audio.play();
    } catch (error) {
      setText(tell, `It cannot be played here: ${error.message}`);
    }
    return undefined;
  }

  const speeds = SPEEDS.map((speed) => h('button', { type: 'button', ariaPressed: speed === 1, onclick: () => {
    audio.playbackRate = speed;
    speeds.forEach((button, i) => button.setAttribute('aria-pressed', String(SPEEDS[i] === speed)));
  } }, `${speed}×`));
  const skip = h('button', { type: 'button', class: 'btn btn-s', testid: 'player-skip', ariaPressed: false, disabled: true, onclick: () => {
    skipping = !skipping;
    skip.setAttribute('aria-pressed', String(skipping));
  } }, icon('jump', 'icon-s'), 'Skip silence');

  let frame = 0;
  const follow = () => {
    const at = audio.currentTime;
    const pause = skipping && !audio.paused && pauses.find(({ from, to }) => at >= from && at < to - BREATH_S);
    if (pause) audio.currentTime = pause.to - BREATH_S;
    wave.at(at);
    setText(time, `${duration(at * 1000)} / ${duration((Number.isFinite(audio.duration) ? audio.duration : (recording.duration_ms ?? 0) / 1000) * 1000)}`);
    for (const watcher of watchers) watcher(at * 1000);
    if (!audio.paused) frame = requestAnimationFrame(follow);
  };
  const changed = () => {
    fill(sign, icon(audio.paused ? 'play' : 'pause'));
    play.setAttribute('aria-label', audio.paused ? 'Play' : 'Pause');
    cancelAnimationFrame(frame);
    follow();
  };
  for (const event of ['play', 'seeking', 'seeked', 'pause', 'ended', 'durationchange']) audio.addEventListener(event, changed);
  audio.addEventListener('error', () => setText(tell, 'This browser cannot play the recording; download it instead.'));

  const element = h('div', { class: 'player', testid: 'recording-player', role: 'group', ariaLabel: 'Player' }, audio, wave.element,
    h('div', { class: 'player-bar' }, play, time,
      h('div', { class: 'speed', role: 'group', ariaLabel: 'Speed' }, speeds), skip,
      h('button', { type: 'button', class: 'btn btn-s player-push', testid: 'download-recording', onclick: () => save(blob, `${id}.${wav ? 'wav' : 'opus'}`) }, icon('download', 'icon-s'), `${wav ? 'WAV' : 'Ogg Opus'} (${bytes(blob.size)})`)),
    h('div', { class: 'channels' }, CHANNELS.map((name, index) => channelKeys(desk, name, index))),
    h('div', null, tell, recording.gaps > 0 && h('span', { class: 'dim small' }, recording.gaps === 1 ? '1 gap was filled with silence. ' : `${recording.gaps} gaps were filled with silence. `)));
  // The space bar plays, but a button keeps its own.
  element.addEventListener('keydown', (event) => {
    if (event.target.closest('button')) return;
    if (event.key === ' ') void toggle();
    else if (event.key === 'j') seek(audio.currentTime - STEP_S);
    else if (event.key === 'l') seek(audio.currentTime + STEP_S);
    else return;
    event.preventDefault();
  });
  scope.add(() => {
    cancelAnimationFrame(frame);
    audio.pause();
    desk.close();
    wave.close();
    URL.revokeObjectURL(url);
  });
  fill(root, element);
  changed();
  onReady({
    blob,
    seek(ms) { seek(ms / 1000); },
    play() { if (audio.paused) void toggle(); },
    onTime(fn) {
      watchers.add(fn);
      return () => watchers.delete(fn);
    },
  });
  void draw();

  async function draw() {
    const buckets = Math.round(Math.min(BUCKETS_MAX, Math.max(BUCKETS_MIN, ((recording.duration_ms ?? 0) / 1000) * BUCKETS_PER_S)));
    try {
      const { peaks, seconds } = await (wav ? wavPeaks : soundPeaks)(blob, buckets);
      if (scope.gone) return;
      wave.load(peaks, seconds);
      pauses = silences(peaks, seconds);
      skip.disabled = pauses.length === 0;
    } catch (error) {
      if (!scope.gone) fill(wave.element, h('p', { class: 'card-pad dim' }, bdi(error.message))); // it can still be played
    }
  }
}

/** Hear it, mute it, or hear it alone. */
function channelKeys(desk, name, index) {
  const mute = h('button', { type: 'button', testid: `mute-${name.toLowerCase()}`, ariaPressed: false, ariaLabel: `Mute ${name}`, onclick: () => desk.mute(index) }, 'Mute');
  const solo = h('button', { type: 'button', testid: `solo-${name.toLowerCase()}`, ariaPressed: false, ariaLabel: `${name} alone`, onclick: () => desk.solo(index) }, 'Alone');
  desk.onChange(({ muted, alone }) => {
    mute.setAttribute('aria-pressed', String(muted[index]));
    solo.setAttribute('aria-pressed', String(alone === index));
  });
  return h('div', { class: 'channel', role: 'group', ariaLabel: name }, h('i', { ariaHidden: 'true' }), name, h('div', { class: 'speed' }, mute, solo));
}

/** Both voices in both ears, each with a gate. Made at the first click: browsers allow sound from then on. */
function mixer(audio) {
  const muted = [false, false];
  const listeners = [];
  let alone = null;
  let context = null;
  let gates = [];
  const apply = () => {
    gates.forEach((gate, index) => { gate.gain.value = muted[index] || (alone !== null && alone !== index) ? 0 : 1; });
    for (const fn of listeners) fn({ muted, alone });
  };
  const wake = () => {
    if (context) return void context.resume();
    context = new AudioContext();
    const split = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    context.createMediaElementSource(audio).connect(split);
    gates = [0, 1].map((channel) => {
      const gate = new GainNode(context);
      split.connect(gate, channel);
      gate.connect(context.destination);
      return gate;
    });
    apply();
    return void context.resume();
  };
  return {
    wake,
    mute(index) {
      wake();
      muted[index] = !muted[index];
      apply();
    },
    solo(index) {
      wake();
      alone = alone === index ? null : index;
      apply();
    },
    onChange(fn) { listeners.push(fn); },
    close() { void context?.close(); },
  };
}
