// The keypad of a running call: what is pressed is heard here, shown, and sent in order. The
// computer's own digit keys work, too, while it is open.

import { sendDigit } from '../line.js';
import { h, setText } from './dom.js';
import { toastError } from './toast.js';

const KEYS = [...'123456789*0#'];
/** Digits kept in sight. */
const SHOWN_MAX = 24;

/** `onToggle(open)`; answers `{ element, show(wish), isOpen(), heard(digit), close() }`. */
export function keypad(callId, onToggle) {
  let typed = '';
  const echo = h('div', { class: 'call-pad-echo', testid: 'keypad-echo', role: 'status' });
  const element = h('div', { class: 'call-pad', testid: 'keypad', hidden: true, role: 'group', ariaLabel: 'Keypad' }, echo,
    h('div', { class: 'call-pad-keys' }, KEYS.map((digit) => h('button', { type: 'button', data: { digit }, ariaLabel: nameOf(digit), onclick: () => press(digit) }, digit))));
  document.addEventListener('keydown', onKey);

  function press(digit) {
    typed = (typed + digit).slice(-SHOWN_MAX);
    setText(echo, typed);
    sendDigit(callId, digit).catch((error) => toastError(`The key ${digit} was not sent`, error));
  }

  function onKey(event) {
    if (element.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.('input, select, textarea, [contenteditable]')) return;
    if (event.key === 'Escape') show(false, true);
    else if (KEYS.includes(event.key)) press(event.key);
  }

  /** `byKey`: closed by Escape, so that the focus goes back to where it came from. */
  function show(wish, byKey = false) {
    if (element.hidden === !wish) return;
    element.hidden = !wish;
    if (!wish) {
      typed = '';
      setText(echo, '');
    }
    if (wish) element.scrollIntoView({ block: 'nearest' });
    onToggle(wish, byKey);
  }

  return {
    element,
    show,
    isOpen: () => !element.hidden,
    /** A key that the customer pressed. */
    heard(digit) {
      show(true);
      setText(echo, `Customer pressed ${digit}`);
    },
    close: () => document.removeEventListener('keydown', onKey),
  };
}

function nameOf(digit) {
  return { '*': 'Star', '#': 'Hash' }[digit] ?? digit;
}
