// How each leg sounded, over the whole call in figures and from moment to moment as lines.

import { fill, h } from './dom.js';
import { LOCALE, duration, words } from './format.js';

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT, TOP] = [300, 74, 6];
/** Below it nobody hears anything; the foot of the graph of levels. */
const SILENCE_DBOV = -70;
/** `least`: what the top of a graph stands for at least, since small troubles should look small. */
const GRAPHS = [
  { label: 'Lost packets', read: ({ loss_ratio: ratio }) => (ratio ?? 0) * 100, least: 5, shown: (value) => `${value.toFixed(1)} %` },
  { label: 'Jitter', read: ({ jitter_ms: jitter }) => jitter, least: 40, shown: (value) => `${Math.round(value)} ms` },
  { label: 'Round trip', read: ({ rtt_ms: rtt }) => rtt, least: 300, shown: (value) => `${Math.round(value)} ms` },
  { label: 'Level', most: 'loudest', read: ({ level_dbov: level }) => (level === null || level === undefined ? null : Math.max(0, level - SILENCE_DBOV)), least: -SILENCE_DBOV, shown: (value) => `${Math.round(value + SILENCE_DBOV)} dB` },
];

export function drawQuality(card, box, legs) {
  const measured = legs.filter((leg) => leg.quality);
  card.hidden = measured.length === 0;
  if (measured.length === 0) return;
  const rows = [
    ['Estimated MOS', ({ mos }) => (mos === null || mos === undefined ? '–' : `${mos.toFixed(1)} · ${mosWords(mos)}`)],
    ['Lost', ({ packets_lost: lost, loss_ratio: ratio }) => `${lost ?? 0} (${((ratio ?? 0) * 100).toFixed(2)} %)`],
    ['Received', ({ packets_received: count }) => (count ?? 0).toLocaleString(LOCALE)],
    ['Jitter', ({ jitter_ms: jitter }) => (jitter === null || jitter === undefined ? '–' : `${Number(jitter).toFixed(1)} ms`)],
    ['Round trip', ({ rtt_ms: rtt }) => (rtt === null || rtt === undefined ? '–' : `${Math.round(rtt)} ms`)],
    ['Level', ({ level_dbov: level }) => (level === null || level === undefined ? '–' : `${Math.round(level)} dB`)],
  ];
  const names = measured.map((leg, i) => `${words.leg(leg.kind)}${measured.filter(({ kind }) => kind === leg.kind).length > 1 ? ` ${measured.slice(0, i + 1).filter(({ kind }) => kind === leg.kind).length}` : ''}`);
  fill(box,
    h('div', { class: 'table-wrap', tabindex: 0, role: 'region', ariaLabel: 'Sound quality' }, h('table', { ariaLabel: 'Quality per leg' },
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'Figure')), names.map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', null, rows.map(([name, cell]) => h('tr', null, h('th', { scope: 'row' }, name), measured.map((leg) => h('td', { class: 'num' }, cell(leg.quality)))))))),
    graphs(measured));
}

function graphs(legs) {
  const drawn = legs.filter((leg) => leg.history?.length > 0);
  if (drawn.length === 0) return null;
  const times = drawn.flatMap((leg) => leg.history.map(({ at }) => Date.parse(at)));
  const [from, to] = [Math.min(...times), Math.max(...times)];
  return h('div', { class: 'card-pad graphs', testid: 'quality-graph' },
    GRAPHS.map((about) => graph(drawn, { ...about, from, to })),
    h('div', { class: 'graph-key' }, [...new Set(drawn.map(({ kind }) => kind))].map((kind) => h('span', { data: { leg: kind } }, words.leg(kind))), h('span', { class: 'visually-hidden' }, `over ${duration(to - from)}`)));
}

function graph(legs, { label, read, least, shown, most = 'at worst', from, to }) {
  const values = legs.flatMap((leg) => leg.history.map(read)).filter((value) => value !== null && value !== undefined);
  if (values.length === 0) return null; // it was never told
  const worst = Math.max(0, ...values);
  const top = Math.max(least, worst * 1.1);
  const svg = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${label} over the call, ${shown(worst)} ${most}` })) svg.setAttribute(name, value);
  for (const leg of legs) {
    const path = document.createElementNS(SVG, 'path');
    const points = leg.history.map((sample) => [Date.parse(sample.at), read(sample)]).filter(([, value]) => value !== null && value !== undefined)
      .map(([at, value]) => [to > from ? ((at - from) / (to - from)) * WIDTH : WIDTH, HEIGHT - 3 - (value / top) * (HEIGHT - TOP)]);
    if (points.length === 0) continue;
    if (points.length === 1) points.splice(0, 1, [0, points[0][1]], [WIDTH, points[0][1]]);
    path.setAttribute('d', points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join(''));
    path.dataset.leg = leg.kind;
    svg.append(path);
  }
  return h('div', { class: 'graph' }, h('div', { class: 'graph-head' }, h('span', null, label), h('span', { class: 'num' }, `${most} ${shown(worst)}`)), svg);
}

/** ITU-T G.107 Annex B, table B.1, in short. */
function mosWords(mos) {
  if (mos >= 4.3) return 'very good';
  if (mos >= 4.0) return 'good';
  if (mos >= 3.6) return 'fair';
  if (mos >= 3.1) return 'poor';
  return 'bad';
}
