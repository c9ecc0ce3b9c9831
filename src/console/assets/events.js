// The agent's event stream: server-sent events read by fetch, because EventSource cannot carry a
// token and hides why it failed. Resumes with Last-Event-ID; a silent or broken stream is opened again with back-off.

import { authorization, problemOf } from './api.js';

/** The gateway sends a comment every 15 s; twice that and a bit without a byte is a dead stream. */
const SILENCE_MS_MAX = 40_000;
const BACKOFF_MS = [300, 1_000, 2_000, 4_000, 8_000, 15_000];

export class EventStream {
  #path;
  #handlers;
  #lastId = null;
  #tries = 0;
  #abort = null;
  #wake = null;
  #stopped = false;

  /**
   * `onEvent(event)` gets each parsed event, `onReady()` each opened stream, `onDown()` each loss; `headers()` tells
   * who asks, where that is not the page's own to say.
   */
  constructor(path, handlers) {
    this.#path = path;
    this.#handlers = handlers;
  }

  async start() {
    addEventListener('online', this.retryNow);
    while (!this.#stopped) {
      await this.#readOnce();
      if (this.#stopped) break;
      this.#handlers.onDown();
      await this.#pause();
    }
  }

  get stopped() {
    return this.#stopped;
  }

  stop() {
    this.#stopped = true;
    removeEventListener('online', this.retryNow);
    this.#abort?.abort();
    this.#wake?.();
  }

  /** Ends a pause between two tries. */
  retryNow = () => {
    this.#tries = 0;
    this.#wake?.();
  };

  async #pause() {
    const base = BACKOFF_MS[Math.min(this.#tries, BACKOFF_MS.length - 1)];
    this.#tries += 1;
    // Jitter, so that a restarted gateway is not met by every console in the same instant.
    const wait = base * (0.75 + Math.random() / 2);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  /** Reads until the stream ends. */
  async #readOnce() {
    const abort = new AbortController();
    this.#abort = abort;
    let deadline = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
    try {
      const headers = { Accept: 'text/event-stream', ...(this.#handlers.headers ?? authorization)() };
      if (this.#lastId !== null) headers['Last-Event-ID'] = this.#lastId;
      const response = await fetch(this.#path, { headers, signal: abort.signal, cache: 'no-store', credentials: 'same-origin' });
      if (!response.ok) {
        await problemOf(response); // which tells of a sign-in that ended
        return;
      }
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new FrameParser((frame) => this.#frame(frame));
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(deadline);
        deadline = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
        parser.push(value);
      }
    } catch {
      // Out of reach: tried again.
    } finally {
      clearTimeout(deadline);
      abort.abort(); // also ends a reader that an exception left open
    }
  }

  #frame({ type, id, data }) {
    if (this.#stopped) return;
    let parsed;
    try {
      parsed = JSON.parse(data);
    } catch {
      console.warn('An event that is not JSON was skipped', type);
      return;
    }
    if (type === 'stream.ready') {
      this.#tries = 0;
      if (this.#lastId === null && parsed.seq !== undefined) this.#lastId = String(parsed.seq);
      this.#handlers.onReady();
      return;
    }
    this.#tries = 0; // a stream that speaks works
    if (id !== null) this.#lastId = id;
    this.#handlers.onEvent({ type, ...parsed });
  }
}

/** Cuts a text stream into server-sent event frames (WHATWG HTML, 9.2.6). */
export class FrameParser {
  #onFrame;
  #rest = '';
  #fields = emptyFrame();

  constructor(onFrame) {
    this.#onFrame = onFrame;
  }

  push(text) {
    this.#rest += text;
    // A lone CR at the end may be half of a CRLF: it waits for the next piece.
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === '') {
      const { type, id, data } = this.#fields;
      this.#fields = emptyFrame();
      if (data.length > 0) this.#onFrame({ type, id, data: data.join('\n') });
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return; // a comment keeps the line warm
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#fields.type = value;
    else if (name === 'id') this.#fields.id = value;
    else if (name === 'data') this.#fields.data.push(value);
  }
}

function emptyFrame() {
  return { type: 'message', id: null, data: [] };
}
