// Sound level of a stream for the meters, and the one audio context that everything shares.

import { emit } from './bus.js';

let context = null;

/** The shared context; a browser may hold it `suspended` until the person has clicked once. */
export function audioContext() {
  if (context === null) {
    context = new AudioContext({ latencyHint: 'interactive' });
    context.addEventListener('statechange', () => emit('readiness'));
  }
  return context;
}

export function soundUnlocked() {
  return audioContext().state === 'running';
}

/** Tries to let sound out. Works after any click or key; answers whether it did. */
export async function unlockSound() {
  const pending = audioContext().resume();
  // A blocked context leaves the promise open for good.
  await Promise.race([pending, new Promise((resolve) => setTimeout(resolve, 400))]).catch(() => {});
  emit('readiness');
  return soundUnlocked();
}

/** Measures a stream without playing it. */
export class LevelTap {
  #source;
  #analyser;
  #samples;
  #shown = 0;

  constructor(stream) {
    const ctx = audioContext();
    this.#source = ctx.createMediaStreamSource(stream);
    this.#analyser = new AnalyserNode(ctx, { fftSize: 1024 });
    this.#source.connect(this.#analyser);
    this.#samples = new Float32Array(this.#analyser.fftSize);
  }

  /** 0–1 over -60…-6 dBFS; rises at once, falls slowly, as a needle does. */
  level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    const db = 10 * Math.log10(sum / this.#samples.length + 1e-12);
    const now = Math.min(1, Math.max(0, (db + 60) / 54));
    this.#shown = Math.max(now, this.#shown * 0.88);
    return this.#shown < 0.01 ? 0 : this.#shown;
  }

  close() {
    this.#source.disconnect();
  }
}
