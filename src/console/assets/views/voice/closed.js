// Temporarily unavailable: dates on which nothing rings, whatever the weekly hours say.

import { fill, h, icon, setText } from '../../ui/dom.js';
import { notice } from '../../ui/parts.js';
import { CLOSED_MAX, minutes, runsOver } from './draft.js';
import { LOCKED } from './hours.js';

export function closedCard(draft, locked, onChange) {
  const body = h('div', { class: 'card-pad stack-gap' });
  const count = h('span', { class: 'dim small num' });
  const draw = () => {
    setText(count, `${draft.unavailable.length} of ${CLOSED_MAX}`);
    fill(body,
      locked && notice('warn', 'lock', LOCKED),
      draft.unavailable.length === 0 && h('p', { class: 'dim' }, 'No closed dates. Add holidays and events on which nobody takes calls; callers then see “Business unavailable”.'),
      h('div', { class: 'stack-gap' }, draft.unavailable.map((entry) => entryRow(entry, locked, changed, onChange, () => {
        draft.unavailable = draft.unavailable.filter((other) => other !== entry);
        changed();
      }))),
      !locked && draft.unavailable.length < CLOSED_MAX && h('div', null, h('button', { type: 'button', class: 'btn btn-s', testid: 'closed-add', onclick: () => {
        draft.unavailable.push({ date: '', from: '00:00', to: '24:00' });
        changed();
        body.querySelector('.closed:last-child input')?.focus();
      } }, icon('plus', 'icon-s'), 'Add a date')));
  };
  const changed = () => {
    draw();
    onChange();
  };
  draw();
  return h('section', { class: 'card', testid: 'closed-card' }, h('div', { class: 'card-head' }, h('h2', null, 'Temporarily Unavailable'), count), body);
}

export function closedMistakes(entries) {
  const wrong = [];
  entries.forEach(({ date, from, to }, i) => {
    const which = date || `Closed date ${i + 1}`;
    if (!/^\d{4}-\d\d-\d\d$/.test(date)) wrong.push(`Closed date ${i + 1}: choose a date, or remove the line.`);
    else if (minutes(from) === null || minutes(to) === null) wrong.push(`${which}: fill in both times, or choose the whole day.`);
    else if (minutes(from) === minutes(to)) wrong.push(`${which}: begins and ends at ${from}. Choose the whole day instead.`);
  });
  const count = entries.length + entries.filter(({ from, to }) => runsOver([from, to])).length;
  if (count > CLOSED_MAX) wrong.push(`${count} closed dates (one past midnight counts as two): WhatsApp takes ${CLOSED_MAX} at most.`);
  return wrong;
}

function entryRow(entry, locked, changed, onChange, remove) {
  const whole = entry.from === '00:00' && entry.to === '24:00';
  const label = entry.date || 'new date';
  const field = (key, type, words) => h('input', { class: `input ${type}`, type, value: entry[key] === '24:00' ? '00:00' : entry[key], disabled: locked, ariaLabel: `${words}, ${label}`, oninput: (event) => {
    entry[key] = key === 'to' && event.target.value === '00:00' ? '24:00' : event.target.value;
    onChange();
  } });
  const all = h('input', { type: 'checkbox', checked: whole, disabled: locked, onchange: () => {
    Object.assign(entry, all.checked ? { from: '00:00', to: '24:00' } : { from: '09:00', to: '18:00' });
    changed();
  } });
  return h('div', { class: 'closed', role: 'group', ariaLabel: `Closed on ${label}`, testid: 'closed-row' }, field('date', 'date', 'Date'),
    h('label', { class: 'check' }, all, 'Whole day'),
    !whole && h('div', { class: 'span' }, field('from', 'time', 'From'), h('span', { ariaHidden: 'true' }, '–'), field('to', 'time', 'To')),
    !locked && h('button', { type: 'button', class: 'quiet', ariaLabel: `Remove ${label}`, onclick: remove }, icon('close', 'icon-s')));
}
