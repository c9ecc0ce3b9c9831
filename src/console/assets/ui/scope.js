// What a view opened must be closed when it leaves: listeners, timers, requests.

import { on } from '../bus.js';

export class Scope {
  #closers = [];
  #abort = new AbortController();

  /** Aborted when the view leaves; give it to requests. */
  get signal() {
    return this.#abort.signal;
  }

  get gone() {
    return this.#abort.signal.aborted;
  }

  add(closer) {
    this.#closers.push(closer);
  }

  on(topic, fn) {
    this.add(on(topic, fn));
  }

  /** Calls `fn` now and then every so often. */
  every(ms, fn) {
    fn();
    const timer = setInterval(fn, ms);
    this.add(() => clearInterval(timer));
  }

  /** A function that calls `fn` once, `ms` after the first of several wishes for it. */
  gathered(ms, fn) {
    let timer = null;
    this.add(() => clearTimeout(timer));
    return () => {
      timer ??= setTimeout(() => {
        timer = null;
        fn();
      }, ms);
    };
  }

  close() {
    this.#abort.abort();
    for (const closer of this.#closers.splice(0)) closer();
  }
}
