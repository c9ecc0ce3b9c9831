// Settings as they are being written, compared, and said in words.

export const DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
export const SPANS_PER_DAY_MAX = 2;
export const CLOSED_MAX = 20;

export function copyOf(settings, fields) {
  return Object.fromEntries(fields.map((field) => [field, structuredClone(settings[field])]));
}

export function same(a, b) {
  return canonical(a) === canonical(b);
}

/** As text, with keys in order and days without hours left out. */
function canonical(value) {
  return JSON.stringify(value, (_, inner) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).filter(([, part]) => !(Array.isArray(part) && part.length === 0)).sort(([x], [y]) => (x < y ? -1 : 1)));
  });
}

export const dayName = (day) => day[0].toUpperCase() + day.slice(1);
export const dayAfter = (day) => DAYS[(DAYS.indexOf(day) + 1) % DAYS.length];

/** "HH:MM" in minutes; null for what is no time. */
export function minutes(text) {
  const found = /^(\d\d):(\d\d)$/.exec(text ?? '');
  return found && (found[1] < 24 || text === '24:00') && found[2] < 60 ? Number(found[1]) * 60 + Number(found[2]) : null;
}

/** Whether a span ends on the day after the one it begins on. */
export function runsOver([from, to]) {
  const [begin, end] = [minutes(from), minutes(to)];
  return begin !== null && end !== null && end <= begin && end > 0;
}

const NAMES = {
  allow_voice_calls: 'Allow Voice Calls', display_call_buttons: 'Display Call Buttons', callback_permission: 'Callback Permission',
  call_hours: 'Available Call Hours', unavailable: 'Temporarily Unavailable',
};

export const settingsWords = {
  name: (field) => NAMES[field] ?? field,

  value(field, value) {
    if (typeof value === 'boolean') return value ? 'On' : 'Off';
    if (field === 'call_hours') return value ? `${week(value.weekly)} (${value.time_zone})` : 'Always open';
    if (field === 'unavailable') return (value ?? []).map(({ date, from, to }) => (from === '00:00' && to === '24:00' ? date : `${date} ${from}–${to}`)).join(', ') || 'None';
    return typeof value === 'string' ? value : JSON.stringify(value);
  },
};

function week(weekly) {
  return DAYS.filter((day) => weekly[day]?.length).map((day) => `${dayName(day).slice(0, 3)} ${weekly[day].map(([from, to]) => `${from}–${to}`).join(', ')}`).join('; ') || 'No day is open';
}
