// No time: the call is rejected, and the customer reads why in WhatsApp. Three ready sentences, or one's own.

import { prefs, setPref } from '../prefs.js';
import { reject } from '../offers.js';
import { h, icon } from './dom.js';

const READY = [
  'I am in a call just now and ring you back shortly.',
  'Please write to me here, and I answer as soon as I can.',
  'I cannot talk now. When may we call you back?',
];
/** As the API has it. */
const CHARS_MAX = 1_024;

/** `{ button, element, toggle(wish) }`: what opens it, and what opens. `id`: the offer's. */
export function busyReply(id) {
  const areaId = `busy-words-${id}`;
  const area = h('textarea', { id: areaId, class: 'input note-area', testid: 'busy-words', rows: 2, maxlength: CHARS_MAX });
  const sendButton = h('button', { type: 'submit', class: 'popup-reject busy-send', testid: 'busy-send' }, icon('hangup', 'icon-s'), h('span', null, 'Reject and send'));
  const choices = [...READY, ...(prefs.busyWords && !READY.includes(prefs.busyWords) ? [prefs.busyWords] : [])];
  const element = h('form', { class: 'busy', testid: 'busy', hidden: true, ariaLabel: 'Reject with a message', onsubmit: send },
    h('div', { class: 'busy-ready', role: 'group', ariaLabel: 'Ready messages' },
      choices.map((text) => h('button', { type: 'button', class: 'busy-choice', onclick: () => { area.value = text; area.focus(); } }, text))),
    h('label', { for: areaId, class: 'visually-hidden' }, 'Message to the customer'), area,
    sendButton);
  const button = h('button', { type: 'button', class: 'popup-busy', testid: 'popup-busy', ariaExpanded: 'false', onclick: () => toggle(element.hidden) }, icon('note', 'icon-s'), h('span', null, 'Busy: send a message'));

  function toggle(wish) {
    element.hidden = !wish;
    button.setAttribute('aria-expanded', String(wish));
    if (!wish) return;
    area.value ||= prefs.busyWords || READY[0];
    element.querySelector('button').focus();
  }

  async function send(event) {
    event.preventDefault();
    const text = area.value.trim();
    if (!text) {
      area.focus();
      return;
    }
    if (await reject(id, text) && !READY.includes(text)) setPref('busyWords', text);
  }

  return { button, element, setDisabled(wish) { for (const part of [button, sendButton]) part.disabled = wish; } };
}
