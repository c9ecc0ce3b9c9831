// The control API over fetch: the browser's session or an agent's token, problem+json turned into sentences, one retry of
// a request that the network swallowed. Nothing else in the console calls fetch, except the event
// stream (events.js), which asks here for its headers.

import { noteServerDate } from './clock.js';

const TOKEN_KEY = 'tandem.token';
const PAGES_MAX = 20;
/** Longer than the gateway itself waits for WhatsApp; what follows the head of an answer may take its time. */
const ANSWER_MS_MAX = 20_000;

/** A refusal of the gateway, or its absence, in words that can be shown as they are. */
export class Problem extends Error {
  constructor({ status = 0, code = 'unreachable', detail, field = null, blockers = [], errors = [], clearsAt = null }) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    /** Which field of the request is meant, if one is. */
    this.field = field;
    this.blockers = blockers;
    /** Of a file: every mistake, by line. */
    this.errors = errors;
    this.clearsAt = clearsAt;
  }
}

let onUnauthorized = () => {};

/** Called each time the gateway does not know who this is. */
export function whenUnauthorized(fn) {
  onUnauthorized = fn;
}

/** The same, found out by somebody else. */
export function unauthorized() {
  onUnauthorized();
}

export const token = {
  read: () => sessionStorage.getItem(TOKEN_KEY),
  keep: (value) => sessionStorage.setItem(TOKEN_KEY, value),
  forget: () => sessionStorage.removeItem(TOKEN_KEY),
};

/** Takes `#<name>=…` out of the address bar at once, so that it reaches no history and no screenshot. */
export function takeFromAddress(name) {
  const found = new URLSearchParams(location.hash.slice(1)).get(name);
  if (found === null) return null;
  history.replaceState(history.state, '', location.pathname + location.search);
  return found.trim() || null;
}

/** With a token; without one the browser sends its session by itself, in a cookie that no script can read. */
export function authorization() {
  const secret = token.read();
  return secret ? { Authorization: `Bearer ${secret}` } : {};
}

export const api = {
  get: (path, signal) => asJson(send('GET', path, { signal })),
  put: (path, body) => asJson(send('PUT', path, json(body))),
  delete: (path) => asJson(send('DELETE', path)),
  /** `key`: where the same wish may be sent again later, by hand; else each call is a wish of its own. */
  post: (path, body, key = randomKey()) => asJson(send('POST', path, { ...(body !== undefined && json(body)), key })),

  /** As `get`, with the tag that names this version: `{ value, etag }`. */
  tagged: (path, signal) => asTagged(send('GET', path, { signal })),
  /** As `put`, refused if there is another version by now; without a tag it is changed whatever there is. */
  putTagged: (path, body, etag) => {
    const { body: text, headers } = json(body);
    return asTagged(send('PUT', path, { body: text, headers: { ...headers, ...(etag && { 'If-Match': etag }) } }));
  },
  /** PUTs a table. */
  putCsv: (path, body) => asJson(send('PUT', path, { body, headers: { 'Content-Type': 'text/csv' } })),
  /** GETs what the path also has as a table. */
  csv: async (path, signal) => (await send('GET', path, { signal, headers: { Accept: 'text/csv' } })).blob(),
  text: async (path, signal) => (await send('GET', path, { signal })).text(),

  /** POSTs an SDP offer; answers `{ sdp, location }`. */
  async sdp(path, offer) {
    const response = await send('POST', path, {
      body: offer,
      headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp, application/problem+json' },
    });
    return { sdp: await response.text(), location: response.headers.get('Location') };
  },

  /** A file behind the token, such as a recording. */
  download: async (path, onBytes, signal) => whole(await send('GET', path, { signal }), onBytes),
  blob: async (path, signal) => (await send('GET', path, { signal })).blob(),
};

/** Reads on and tells how far it is: `onBytes(count)`. */
async function whole(response, onBytes) {
  const pieces = [];
  let count = 0;
  const reader = response.body.getReader();
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Problem({ detail: 'The transfer broke off. Try again; if it stays, the gateway’s log says why.' });
    }
    if (piece.done) return new Blob(pieces, { type: response.headers.get('Content-Type') ?? '' });
    pieces.push(piece.value);
    count += piece.value.length;
    onBytes(count);
  }
}

/** Every item of a short list, such as the agents; a bound keeps a long one from filling the browser. */
export async function everyItem(path) {
  const items = [];
  let cursor = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await api.get(query(path, { limit: 100, cursor }));
    items.push(...answer.items);
    cursor = answer.next_cursor ?? null;
    if (cursor === null) break;
  }
  return items;
}

/** Path with a query; empty values are left out. */
export function query(path, parameters) {
  const kept = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(kept).toString();
  return text ? `${path}?${text}` : path;
}

/** Reads the refusal out of a response; public because the event stream needs it too. */
export async function problemOf(response) {
  let told = {};
  try {
    told = await response.json();
  } catch { /* not JSON, such as a proxy's error page: the status has to do */ }
  const problem = new Problem({
    status: response.status,
    code: told.code ?? `http_${response.status}`,
    detail: inWords(told) || sentenceFor(response.status),
    field: ABOUT_FIELDS.includes(told.code) ? FIELD.exec(told.detail)?.[1] : null,
    blockers: Array.isArray(told.blockers) ? told.blockers : [],
    errors: Array.isArray(told.errors) ? told.errors : [],
    clearsAt: told.clears_at ?? null,
  });
  // Asking for a name and a password that are wrong is no news about who is signed in.
  if (response.status === 401 && !new URL(response.url).pathname.startsWith('/v1/session')) onUnauthorized();
  return problem;
}

const ABOUT_FIELDS = ['invalid_field', 'invalid_parameter'];
const FIELD = /^([a-z_.[\]\d]+): /;

/** The form shows which field is meant; a sentence begins without its name. */
function inWords({ code, detail, title }) {
  if (!detail || !ABOUT_FIELDS.includes(code)) return detail || title;
  const sentence = detail.replace(FIELD, '');
  return sentence[0].toUpperCase() + sentence.slice(1);
}

function json(body) {
  return { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
}

async function asTagged(pending) {
  const response = await pending;
  return { value: await asJson(response), etag: response.headers.get('ETag') };
}

async function asJson(pending) {
  const response = await pending;
  if (response.status === 204) return null;
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem({
      status: response.status,
      code: 'not_json',
      detail: 'The answer was not what a Tandem gateway sends. Is there a proxy in between?',
    });
  }
}

async function send(method, path, { body, headers = {}, signal, key = randomKey() } = {}) {
  const request = {
    method,
    body,
    signal,
    cache: 'no-store',
    credentials: 'same-origin',
    headers: { Accept: 'application/json, */*;q=0.5', ...headers, ...authorization() },
  };
  // The same key on the second try: the gateway does the thing once, however often it is asked.
  if (method === 'POST') request.headers['Idempotency-Key'] = key;
  const response = await reach(path, request);
  noteServerDate(response.headers.get('Date'));
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function reach(path, request) {
  try {
    return await answered(path, request);
  } catch (error) {
    if (error.name === 'AbortError' || error instanceof Problem) throw error;
  }
  await new Promise((resolve) => setTimeout(resolve, 400));
  try {
    return await answered(path, request);
  } catch (error) {
    if (error.name === 'AbortError' || error instanceof Problem) throw error;
    throw new Problem({ detail: 'The gateway cannot be reached. Check your network; the console keeps trying.' });
  }
}

async function answered(path, request) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_MS_MAX);
  const signal = request.signal ? AbortSignal.any([request.signal, late.signal]) : late.signal;
  try {
    return await fetch(path, { ...request, signal });
  } catch (error) {
    if (late.signal.aborted) throw new Problem({ code: 'no_answer', detail: 'The gateway does not answer. Try again; if it stays, tell the operator.' });
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

// randomUUID exists only in secure contexts, and sign-in should work far enough to say so.
export function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function sentenceFor(status) {
  if (status === 403) return 'Your role does not allow this.';
  if (status === 404) return 'This does not exist, or your role may not see it.';
  if (status === 409) return 'This is not possible at the moment.';
  if (status === 429) return 'Too many requests. Wait a little and try again.';
  if (status >= 500) return `The gateway failed (${status}). Try again; if it stays, tell the operator.`;
  return `The gateway refused the request (${status}).`;
}
