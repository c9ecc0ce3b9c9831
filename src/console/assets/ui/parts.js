// Small pieces that several pages share.

import { h, icon, bdi } from './dom.js';
import { contactName, contactNumber, initials, statusTone, words } from './format.js';

export function statusBadge(status) {
  const live = status === 'Ongoing' || status === 'Ringing';
  return h('span', { class: 'chip', testid: 'call-status', data: { tone: statusTone(status), ...(live && { live: '' }) } }, status);
}

export function avatar(contact, size = '') {
  return h('div', { class: `avatar ${size}`.trim(), ariaHidden: 'true' }, initials(contact));
}

export function directionMark(call) {
  const outbound = call.direction === 'business_initiated';
  const tone = statusTone(call.status) === 'stop' ? 'stop' : call.status === 'Ongoing' ? 'go' : call.status === 'Ringing' ? 'info' : '';
  const name = tone === 'stop' && !outbound ? 'missed' : outbound ? 'out' : 'in';
  return h('span', { class: 'dir', data: { tone }, title: words.direction(call.direction) },
    icon(name), h('span', { class: 'visually-hidden' }, words.direction(call.direction)));
}

/** Name over number, as a link. */
export function whoCell(contact, href, lead) {
  return h('div', { class: 'who' }, lead,
    h('div', null,
      h('a', { href, title: contactName(contact) }, bdi(contactName(contact))),
      contactName(contact) !== contactNumber(contact) && h('span', { class: 'num' }, bdi(contactNumber(contact)))));
}

export function meter(label) {
  const bar = h('div', { class: 'meter-fill' });
  const element = h('div', { class: 'meter', role: 'img', ariaLabel: label }, bar);
  let lit = -1;
  return {
    element,
    /** 0–1 */
    set(level) {
      const percent = Math.round(level * 100);
      if (percent === lit) return;
      lit = percent;
      bar.style.setProperty('--level', `${percent}%`);
    },
  };
}

export function notice(tone, name, ...children) {
  return h('div', { class: 'notice', data: { tone }, role: tone === 'stop' ? 'alert' : null }, icon(name), h('div', null, children));
}

export function empty(name, title, text) {
  return h('div', { class: 'empty' }, icon(name), h('strong', null, title), h('p', null, text));
}

export function skeleton(lines = 6) {
  return h('div', { class: 'skeleton', ariaHidden: 'true' }, Array.from({ length: lines }, () => h('i')));
}

/** An error with a way to try again. */
export function failed(error, again) {
  return h('div', { class: 'card-pad' },
    notice('stop', 'warn', h('p', null, error.message),
      again && h('p', null, h('button', { class: 'link', type: 'button', onclick: again }, 'Try again'))));
}

/** Facts as a list of terms; a null value is left out. */
export function facts(pairs) {
  return h('dl', { class: 'facts' },
    pairs.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== '')
      .map(([term, value]) => [h('dt', null, term), h('dd', null, value)]));
}
