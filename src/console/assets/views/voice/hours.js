// The weekly hours: two spans a day at most. A span that ends before it begins runs over midnight, and is split by the
// gateway when it is saved.

import { fill, h, icon } from '../../ui/dom.js';
import { notice } from '../../ui/parts.js';
import { DAYS, SPANS_PER_DAY_MAX, dayAfter, dayName, minutes, runsOver } from './draft.js';

const OFFICE = [['09:00', '18:00']];
export const LOCKED = 'Locked while Display Call Buttons is off. What is below is kept, and holds again as soon as the buttons are shown.';

export function hoursCard(draft, locked, onChange) {
  const body = h('div', { class: 'card-pad stack-gap' });
  const draw = () => {
    const hours = draft.call_hours;
    fill(body,
      locked && notice('warn', 'lock', h('span', { testid: 'hours-locked' }, LOCKED)),
      h('div', { class: 'seg', role: 'group', ariaLabel: 'When calls ring' }, [[null, 'Always open'], ['weekly', 'Weekly hours']].map(([mode, label]) => h('button', {
        type: 'button', testid: `hours-${mode ?? 'always'}`, ariaPressed: String((hours !== null) === (mode !== null)), disabled: locked, onclick: () => {
          draft.call_hours = mode && (hours ?? firstHours());
          changed();
        } }, label))),
      hours && zoneField(hours, locked, onChange),
      hours && h('div', { class: 'week' }, DAYS.map((day) => dayRow(day, hours, locked, changed, onChange))),
      hours && !locked && h('div', null, h('button', { type: 'button', class: 'btn btn-s', testid: 'hours-copy', onclick: () => {
        for (const day of DAYS.slice(1, 5)) hours.weekly[day] = structuredClone(hours.weekly.monday ?? []);
        changed();
      } }, icon('copy', 'icon-s'), 'Monday’s hours for Tuesday to Friday')));
  };
  const changed = () => {
    draw();
    onChange();
  };
  draw();
  return h('section', { class: 'card', testid: 'hours-card', data: { ...(locked && { locked: '' }) } },
    h('div', { class: 'card-head' }, h('h2', null, 'Available Call Hours'), h('span', { class: 'dim small' }, 'Calls ring only inside them')), body);
}

/** What is wrong, in words; empty if nothing is. */
export function hoursMistakes(hours) {
  if (hours === null) return [];
  const wrong = [];
  const placed = new Map(DAYS.map((day) => [day, []]));
  for (const day of DAYS) {
    for (const span of hours.weekly[day] ?? []) {
      const [from, to] = span.map(minutes);
      if (from === null || to === null) wrong.push(`${dayName(day)}: fill in both times, or remove the line.`);
      else if (from === to) wrong.push(`${dayName(day)}: opens and closes at ${span[0]}. For the whole day write 00:00 to 00:00 of the next day.`);
      else if (runsOver(span)) {
        placed.get(day).push([from, 24 * 60]);
        placed.get(dayAfter(day)).push([0, to, day]);
      } else placed.get(day).push([from, to === 0 ? 24 * 60 : to]);
    }
  }
  if ([...placed.values()].every((spans) => spans.length === 0) && wrong.length === 0) wrong.push('No day is open. Add hours to at least one day, or turn Allow Voice Calls off.');
  for (const [day, spans] of placed) {
    spans.sort(([a], [b]) => a - b);
    const spilt = spans.find(([, , origin]) => origin)?.[2];
    if (spans.length > SPANS_PER_DAY_MAX) wrong.push(`${dayName(day)}: ${spans.length} spans${spilt ? `, one of them the end of ${dayName(spilt)}’s` : ''}. WhatsApp takes two a day at most.`);
    if (spans.some(([from], i) => i > 0 && from < spans[i - 1][1])) wrong.push(`${dayName(day)}: the hours overlap${spilt ? ` (${dayName(spilt)} runs past midnight)` : ''}.`);
  }
  return wrong;
}

function firstHours() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  return { time_zone: zone, weekly: Object.fromEntries(DAYS.slice(0, 5).map((day) => [day, structuredClone(OFFICE)])) };
}

function zoneField(hours, locked, onChange) {
  const known = Intl.supportedValuesOf('timeZone');
  const zones = known.includes(hours.time_zone) ? known : [hours.time_zone, ...known];
  const select = h('select', { class: 'select', id: 'hours-zone', testid: 'hours-zone', disabled: locked, onchange: () => {
    hours.time_zone = select.value;
    onChange();
  } }, zones.map((zone) => h('option', { value: zone, selected: zone === hours.time_zone }, zone.replaceAll('_', ' '))));
  return h('div', { class: 'field zone' }, h('label', { for: 'hours-zone' }, 'Time zone'), select);
}

function dayRow(day, hours, locked, changed, onChange) {
  const spans = hours.weekly[day] ?? [];
  const name = dayName(day);
  return h('div', { class: 'day', role: 'group', ariaLabel: name, testid: `day-${day}` }, h('strong', null, name),
    h('div', { class: 'day-spans' },
      spans.length === 0 && h('span', { class: 'dim' }, 'Closed'),
      spans.map((span, i) => spanFields(span, `${name}, ${spans.length > 1 ? (i === 0 ? 'first hours, ' : 'second hours, ') : ''}`, locked, dayName(dayAfter(day)), onChange, () => {
        hours.weekly[day] = spans.filter((other) => other !== span);
        changed();
      }))),
    !locked && spans.length < SPANS_PER_DAY_MAX && h('button', { type: 'button', class: 'btn btn-s btn-icon', ariaLabel: `Add hours on ${name}`, title: 'Add hours', onclick: () => {
      hours.weekly[day] = [...spans, spans.length === 0 ? [...OFFICE[0]] : ['', '']];
      changed();
    } }, icon('plus', 'icon-s')));
}

function spanFields(span, label, locked, nextDay, onChange, remove) {
  const over = h('span', { class: 'dim small over', ariaLive: 'polite', testid: 'over-midnight' });
  const say = () => fill(over, runsOver(span) && `Past midnight: saved as ${span[0]}–24:00 and 00:00–${span[1]} on ${nextDay}.`);
  const field = (place, words) => h('input', { class: 'input time', type: 'time', value: span[place] === '24:00' ? '00:00' : span[place], disabled: locked, ariaLabel: label + words, oninput: (event) => {
    // The end of a day is written as 24:00; a clock shows it as the next day's 00:00.
    span[place] = place === 1 && event.target.value === '00:00' ? '24:00' : event.target.value;
    say();
    onChange();
  } });
  say();
  return h('div', { class: 'span' }, field(0, 'from'), h('span', { ariaHidden: 'true' }, '–'), field(1, 'to'),
    !locked && h('button', { type: 'button', class: 'quiet', ariaLabel: `Remove ${label.replace(/, $/, '')}`, onclick: remove }, icon('close', 'icon-s')), over);
}
