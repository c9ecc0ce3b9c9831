// Charts of our own in SVG. The picture is for the eye; behind each stands a table with the same numbers, for whoever
// cannot see the picture or wants to know exactly. Colours come from the style sheet by class.

import { h } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const GRID_LINES = 4;

function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A chart with its title, what it says in one sentence, and the table behind it. */
export function figure({ title, testid, say, picture, head, rows, aside }) {
  return h('section', { class: 'card chart', testid },
    h('div', { class: 'card-head' }, h('h2', null, title), aside && h('span', { class: 'dim small' }, aside)),
    h('div', { class: 'card-pad' }, h('figure', null, picture, say && h('figcaption', { class: 'dim small' }, say)),
      rows.length > 0 && h('details', { class: 'numbers' }, h('summary', null, 'As a table'), numbers(title, head, rows))));
}

export function numbers(label, head, rows) {
  return h('div', { class: 'table-wrap', tabindex: 0, role: 'region', ariaLabel: label }, h('table', { ariaLabel: label },
    h('thead', null, h('tr', null, head.map((name, i) => h('th', { scope: 'col', class: i > 0 ? 'right' : null }, name)))),
    h('tbody', null, rows.map((row) => h('tr', null, row.map((cell, i) => (i === 0 ? h('th', { scope: 'row' }, cell) : h('td', { class: 'num right' }, cell))))))));
}

/** What each colour means. */
export function legend(parts) {
  return h('ul', { class: 'legend' }, parts.map(({ name, tone }) => h('li', null, h('i', { class: `swatch-${tone}`, ariaHidden: 'true' }), name)));
}

/**
 * A picture whose parts (`g` with a `title`) are read out one by one: the arrow keys walk through them, and so does the
 * pointer. What is read stands under the picture, for everybody.
 */
export function walkable(picture, label) {
  const parts = [...picture.querySelectorAll('g')];
  const said = h('p', { class: 'chart-said dim small', role: 'status' });
  const idle = 'Point at a value, or walk through them with the arrow keys.';
  said.textContent = idle;
  let at = -1;
  const pick = (next) => {
    parts[at]?.removeAttribute('data-at');
    at = next;
    parts[at]?.setAttribute('data-at', '');
    said.textContent = parts[at]?.querySelector('title').textContent ?? idle;
  };
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const onkeydown = (event) => {
    if (Object.hasOwn(STEPS, event.key)) pick(at < 0 ? (STEPS[event.key] > 0 ? 0 : parts.length - 1) : Math.min(parts.length - 1, Math.max(0, at + STEPS[event.key])));
    else if (event.key === 'Home') pick(0);
    else if (event.key === 'End') pick(parts.length - 1);
    else if (event.key === 'Escape') pick(-1);
    else return;
    event.preventDefault();
    parts[at]?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  };
  const onpointermove = (event) => {
    const over = parts.indexOf(event.target.closest?.('g'));
    if (over >= 0 && over !== at) pick(over);
  };
  return h('div', { class: 'walk' }, h('div', { class: 'scroll', role: 'group', tabindex: 0, ariaLabel: label, testid: 'walk', onkeydown, onpointermove }, picture), said);
}

/** Stacked columns: `columns` = `[{ label, values }]`, one value for each of `parts` = `[{ name, tone }]`. */
export function columnChart({ label, parts, columns }) {
  const [width, height, left, bottom] = [430, 200, 30, 22];
  const top = niceTop(Math.max(1, ...columns.map(({ values }) => sum(values))));
  const plot = { width: width - left - 4, height: height - bottom - 8 };
  const step = plot.width / Math.max(1, columns.length);
  const bar = Math.min(44, Math.max(2, step * 0.7));
  const y = (value) => 8 + plot.height * (1 - value / top);
  const lines = Array.from({ length: GRID_LINES + 1 }, (_, i) => (top / GRID_LINES) * i);
  const every = Math.ceil(columns.length / 7);
  return s('svg', { class: 'plot', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
    lines.map((value) => [s('line', { class: 'grid', x1: left, x2: width, y1: y(value), y2: y(value) }), text('axis', left - 7, y(value) + 4, 'end', String(value))]),
    columns.map(({ label: name, values }, i) => {
      const x = left + step * i + (step - bar) / 2;
      let below = 0;
      const stacked = values.map((value, part) => {
        if (value === 0) return null;
        below += value;
        return s('rect', { class: `fill-${parts[part].tone}`, x, y: y(below), width: bar, height: Math.max(1, y(below - value) - y(below)) });
      });
      const all = parts.map((part, k) => `${part.name} ${values[k]}`).join(', ');
      return s('g', {}, s('title', {}, `${name}: ${all}`), s('rect', { class: 'hit', x: left + step * i, y: 8, width: step, height: plot.height }), stacked,
        i % every === 0 ? text('axis', left + step * (i + 0.5), height - 6, 'middle', name) : null);
    }));
}

/** Seven days by 24 hours, the more the darker. `value(day, hour)`; `title(day, hour)` is shown on pointing. */
export function heatMap({ label, days, value, title }) {
  const [cell, gap, left, topSpace] = [26, 3, 42, 20];
  const most = Math.max(1, ...days.flatMap((_, day) => hours().map((hour) => value(day, hour))));
  const width = left + 24 * (cell + gap);
  const height = topSpace + days.length * (cell + gap);
  return s('svg', { class: 'plot heat', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
    hours().filter((hour) => hour % 3 === 0).map((hour) => text('axis', left + hour * (cell + gap) + cell / 2, 13, 'middle', String(hour).padStart(2, '0'))),
    days.map((name, day) => [text('axis', left - 8, topSpace + day * (cell + gap) + cell / 2 + 4, 'end', name),
      hours().map((hour) => {
        const count = value(day, hour);
        const place = { x: left + hour * (cell + gap), y: topSpace + day * (cell + gap) };
        return s('g', {}, s('title', {}, title(day, hour)), s('rect', { class: 'heat-none', ...place, width: cell, height: cell, rx: 4 }),
          count > 0 && s('rect', { class: 'heat-some', ...place, width: cell, height: cell, rx: 4, 'fill-opacity': (0.18 + 0.82 * (count / most)).toFixed(3) }),
          // Colour is never alone.
          count > 0 && text(count / most > 0.5 ? 'heat-count on' : 'heat-count', place.x + cell / 2, place.y + cell / 2 + 4, 'middle', count > 999 ? '·' : String(count)));
      })]));
}

/** Lines of words, a bar and a figure: `rows` = `[{ name, value, shown, tone }]`. */
export function barList({ rows, testid }) {
  const most = Math.max(1, ...rows.map(({ value }) => value));
  return h('ul', { class: 'bars', testid }, rows.map(({ name, value, shown, tone = 'accent' }) => h('li', null, h('span', { class: 'bar-name' }, name), h('span', { class: 'num bar-value' }, shown ?? String(value)),
    s('svg', { class: 'bar', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, s('rect', { class: 'heat-none', width: 100, height: 8 }), s('rect', { class: `fill-${tone}`, width: (100 * value) / most, height: 8 })))));
}

function text(kind, x, y, anchor, words) {
  return s('text', { class: kind, x, y, 'text-anchor': anchor }, words);
}

function hours() {
  return Array.from({ length: 24 }, (_, hour) => hour);
}

function sum(values) {
  return values.reduce((all, value) => all + value, 0);
}

/** The next round number that the axis can be divided by in whole numbers. */
function niceTop(most) {
  const least = most / GRID_LINES;
  const size = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return GRID_LINES * (least <= 1 ? 1 : [1, 2, 5, 10].map((n) => n * size).find((n) => n >= least));
}
