// Facts to words, in one place, so that every page says the same.

/** The console speaks English: dates and sums do so too, the way the reader's English writes them. */
export const LOCALE = navigator.languages?.find((language) => /^en\b/i.test(language)) ?? 'en-GB';

const dateTimeThisYear = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' });
const dateTime = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric', hour: 'numeric', minute: '2-digit' });
const dateTimeSecondsThisYear = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit', second: '2-digit' });
const dateTimeSeconds = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric', hour: 'numeric', minute: '2-digit', second: '2-digit' });
const timeSeconds = new Intl.DateTimeFormat(LOCALE, { hour: 'numeric', minute: '2-digit', second: '2-digit' });

export function contactName(contact) {
  return plain(contact?.name) || plain(contact?.username) || contact?.phone || contact?.user_id || 'Unknown caller';
}

/** Customers choose their names: characters that turn the writing direction round, or show nothing, go. */
function plain(name) {
  return name?.replace(/[\p{Cc}\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/gu, '').trim();
}

/** The number, or what stands in for it when WhatsApp hides it. */
export function contactNumber(contact) {
  if (contact?.phone) return contact.phone;
  if (contact?.username) return `@${contact.username}`;
  return contact?.user_id ? 'Number hidden by WhatsApp' : 'No number';
}

export function initials(contact) {
  const name = plain(contact?.name) || plain(contact?.username);
  if (!name) return '#';
  const letters = name.trim().split(/\s+/).map((word) => [...word].find((char) => /[\p{L}\p{N}]/u.test(char))).filter(Boolean);
  return ([letters[0], letters.length > 1 ? letters.at(-1) : ''].join('') || '#').toLocaleUpperCase();
}

/** 83000 → "1:23"; an hour shows as "1:00:00". */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor((ms ?? 0) / 1000));
  const two = (n) => String(n).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** 83000 → "1:23", a place in a recording; `long`: "00:01:23". */
export function clockFromMs(ms, long = false) {
  const text = duration(ms);
  return long ? text.split(':').map((part) => part.padStart(2, '0')).join(':').padStart(8, '00:') : text;
}

/** 11520000 → "3 h 12 min"; seconds only when they matter. */
export function timeLeft(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 4 ? `${minutes} min` : `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
}

export function when(time) {
  if (!time) return '–';
  return inYear(new Date(time), dateTimeThisYear, dateTime);
}

export function whenExactly(time) {
  return time ? inYear(new Date(time), dateTimeSecondsThisYear, dateTimeSeconds) : '–';
}

/** The year is said only where it is another. */
function inYear(date, thisYear, any) {
  return (date.getFullYear() === new Date().getFullYear() ? thisYear : any).format(date);
}

export function clockTime(time) {
  return time ? timeSeconds.format(new Date(time)) : '–';
}

/** 9500 micros → "$0.0095": no digit is lost, because rates live behind the cents. */
export function money(micros, currency) {
  return new Intl.NumberFormat(LOCALE, { style: 'currency', currency, minimumFractionDigits: 2, maximumFractionDigits: 6 }).format(micros / 1_000_000);
}

/** "GE" → "Georgia". */
export function countryName(code) {
  return new Intl.DisplayNames(LOCALE, { type: 'region' }).of(code);
}

/** ", 18:42 there": of a country with several times, from the westernmost to the easternmost. */
export function localTime(code) {
  const key = `${code} ${Math.floor(Date.now() / 60_000)}`;
  if (clocked.key !== key) clocked = { key, text: timesOf(code) };
  return clocked.text;
}

/** The last answer: it is asked for several times a second, and holds for a minute. */
let clocked = { key: null, text: '' };

function timesOf(code) {
  let zones = [];
  try {
    const locale = new Intl.Locale('und', { region: code });
    zones = locale.getTimeZones?.() ?? locale.timeZones ?? [];
  } catch { /* a code that the browser does not know */ }
  if (zones.length === 0) return '';
  const now = Date.now();
  const offset = (timeZone) => Date.parse(new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(now).replace(' ', 'T') + 'Z');
  const sorted = [...zones].sort((one, other) => offset(one) - offset(other));
  const clock = (timeZone) => new Intl.DateTimeFormat(LOCALE, { timeZone, hour: 'numeric', minute: '2-digit' }).format(now);
  const [first, last] = [clock(sorted[0]), clock(sorted.at(-1))];
  return first === last ? `, ${first} there` : `, ${first} to ${last} there`;
}

export function bytes(count) {
  if (count < 1_000_000) return `${Math.max(1, Math.round(count / 1000))} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}

/** Codes of the contract to sentences; an unknown code is shown as it is, without underscores. */
export const words = {
  direction: (direction) => (direction === 'business_initiated' ? 'Outbound' : 'Incoming'),

  role: lookup({ owner: 'Owner', sales_lead: 'Sales lead', admin: 'Admin', teammate: 'Teammate' }),

  permission: lookup({
    none: 'None', requested: 'Requested', temporary: 'Temporary', permanent: 'Permanent',
    rejected: 'Rejected', expired: 'Expired', revoked: 'Revoked',
  }),

  reason: lookup({
    assignee: 'You are assigned to this customer',
    chat_assignee: 'You are assigned to this customer',
    owner: 'You own this contact',
    contact_owner: 'You own this contact',
    round_robin: 'You are next in the round robin',
  }),

  withdrawn: lookup({
    rejected: '',
    accepted: '',
    answered_elsewhere: 'Answered by somebody else.',
    ring_timeout: 'Not answered in time: the call went on to the next agent.',
    not_shown: 'This console did not show the call in time, so it went on to the next agent.',
    caller_cancelled: 'The caller hung up.',
    agent_left: 'You went offline while it was ringing.',
  }),

  outcome: lookup({ pending: 'Ringing', accepted: 'Accepted', missed_by_agent: 'Missed by Agent', withdrawn: 'Withdrawn' }),

  cause: lookup({
    rejected: 'rejected', ring_timeout: 'not answered in time', not_shown: 'never shown', caller_cancelled: 'caller hung up',
    answered_elsewhere: 'answered by another agent', agent_left: 'agent went offline',
  }),

  trouble: lookup({
    tab_asleep: 'its tab was asleep', autoplay_blocked: 'the browser held its sound back', socket_dead: 'its connection was gone',
    push_failed: 'the push service did not take it',
  }),

  endReason: lookup({
    completed: 'Completed', missed_by_agent: 'Missed by agent', missed_by_customer: 'The customer did not answer',
    rejected_by_customer: 'The customer declined', caller_cancelled: 'The caller hung up before an answer',
    outside_hours: 'Outside call hours', business_unavailable: 'Business unavailable', no_agent_available: 'No agent was available',
    permission_denied: 'No permission to call', limit_reached: 'A call limit was reached', wallet_negative: 'The wallet is empty',
    media_timeout_rx: 'No sound arrived from the other side', media_timeout_tx: 'No sound could be sent',
    setup_failed: 'The call could not be set up', upstream_error: 'WhatsApp reported an error', drained: 'The gateway was shut down',
    agent_lost: 'The agent’s browser was lost', policy_pstn_blocked: 'Joining WhatsApp to a phone line is not allowed',
  }),

  endedBy: lookup({ customer: 'Customer', agent: 'Agent', system: 'System', upstream: 'WhatsApp' }),

  restriction: lookup({
    outbound: 'calls to customers', inbound: 'customers’ calls', outbound_and_inbound: 'calls in both directions', buttons_hidden: 'call buttons are hidden',
  }),

  violation: lookup({
    outbound_quality: 'customers complain about your calls, or do not take them', inbound_quality: 'customers complain about the calls they placed',
    inbound_pickup: 'customers’ calls are not answered',
  }),

  entry: lookup({ top_up: 'Top-up', call_charge: 'Call', adjustment: 'Adjustment' }),

  /** A code that has no words of its own. */
  plain: lookup({}),

  leg: lookup({ whatsapp: 'Customer', agent: 'Agent' }),
};

/** What a media alarm means for the person on the phone. */
export function alarmWords(kind, legKind) {
  const customer = legKind !== 'agent';
  if (kind === 'one_way') {
    return customer
      ? 'Nothing is heard from the customer: ask them to check their microphone. If it stays so, call again.'
      : 'The customer cannot hear you, but you hear them: check your microphone and its mute switch.';
  }
  if (kind === 'no_rtp') {
    return customer
      ? 'You cannot hear the customer: no sound comes from their phone. Their network may be gone for a moment; wait, or call again.'
      : 'The customer cannot hear you: your sound does not reach the gateway. Check your network and your microphone.';
  }
  if (kind === 'no_rtcp') return 'The far end has stopped reporting on the line. The call may be about to drop.';
  return `The line reports trouble: ${String(kind).replaceAll('_', ' ')}.`;
}

/** The same for who is not in the call, or reads of it later. */
export function alarmNews(kind, legKind) {
  if (kind === 'one_way') return legKind === 'agent' ? 'Nothing was heard from the agent' : 'Nothing was heard from the customer';
  if (kind === 'no_rtp') return legKind === 'agent' ? 'No sound came from the agent’s browser' : 'No sound came from the customer’s phone';
  if (kind === 'no_rtcp') return 'The far end stopped reporting on the line';
  return `The line reported trouble: ${String(kind).replaceAll('_', ' ')}`;
}

export function statusTone(status) {
  if (status === 'Ongoing') return 'go';
  if (status === 'Ringing') return 'info';
  if (/^Missed|^Failed/.test(status)) return 'stop';
  if (/^Rejected/.test(status)) return 'warn';
  return '';
}

export function permissionTone(status) {
  if (status === 'temporary' || status === 'permanent') return 'go';
  if (status === 'requested') return 'info';
  if (status === 'rejected' || status === 'revoked') return 'stop';
  if (status === 'expired') return 'warn';
  return '';
}

function lookup(table) {
  return (code) => {
    if (code === null || code === undefined || code === '') return null;
    return Object.hasOwn(table, code) ? table[code] : sentence(String(code));
  };
}

function sentence(code) {
  if (!/^[a-z0-9_]+$/.test(code)) return code; // already words
  const text = code.replaceAll('_', ' ');
  return text[0].toUpperCase() + text.slice(1);
}
