// Sign-in: by a link that carries the token, or by pasting it.

import { fill, h, icon } from '../ui/dom.js';
import { notice } from '../ui/parts.js';
import { setTitle } from '../router.js';

/** `submit(token)` rejects with the sentence to show. */
export function showSignIn(root, sentence, submit) {
  setTitle('Sign in');
  const message = h('div', { id: 'sign-in-message', ariaLive: 'assertive' });
  const say = (text) => fill(message, text && notice('stop', 'warn', text));
  const input = h('input', {
    class: 'input mono', id: 'token', name: 'token', type: 'password', testid: 'sign-in-token', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', placeholder: 'ta_…', ariaDescribedBy: 'token-hint sign-in-message',
  });
  const button = h('button', { class: 'btn btn-primary', type: 'submit', testid: 'sign-in-submit' }, 'Sign in');

  async function onSubmit(event) {
    event.preventDefault();
    const token = tokenIn(input.value);
    if (!token) {
      say('Paste the token first. It begins with ta_.');
      input.focus();
      return;
    }
    button.disabled = true;
    try {
      await submit(token);
    } catch (error) {
      say(error.message);
      button.disabled = false;
      input.select();
    }
  }

  fill(root, h('main', { class: 'signin' },
    h('section', { class: 'signin-brand' },
      h('div', { class: 'brand' }, icon('tandem'), h('span', null, 'Tandem')),
      h('div', null, h('h1', null, 'WhatsApp calls, answered in the browser.'), h('p', null, 'Go online, and the customer’s call rings here. No phone, no plug-in: a headset is enough.')),
      trunks()),
    h('section', { class: 'signin-form' },
      h('form', { onsubmit: onSubmit, novalidate: true },
        h('div', null, h('h2', null, 'Sign in'), h('p', { class: 'dim', id: 'token-hint' }, 'Open the link you were given, or paste the agent token from it.')),
        message,
        h('div', { class: 'field' }, h('label', { for: 'token' }, 'Agent token'), input),
        button,
        h('p', { class: 'dim small' }, 'The token stays in this tab and is forgotten when you close it.')))));
  say(sentence);
  if (!sentence) input.focus();
}

/** People paste the whole link as often as the token. */
function tokenIn(text) {
  const pasted = text.trim();
  return /[#&]token=([^&\s]+)/.exec(pasted)?.[1] ?? pasted;
}

/** Two trunks, joined at the switch. */
function trunks() {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('class', 'signin-trunks');
  svg.setAttribute('viewBox', '0 0 420 120');
  svg.setAttribute('aria-hidden', 'true');
  const line = (d, stroke, width) => {
    const path = document.createElementNS(ns, 'path');
    for (const [name, value] of Object.entries({ d, stroke, 'stroke-width': width, fill: 'none', 'stroke-linecap': 'round' })) path.setAttribute(name, value);
    svg.append(path);
  };
  for (const y of [14, 30, 90, 106]) line(`M2 ${y}H418`, 'currentColor', 1.5);
  line('M2 46H120C190 46 190 74 260 74H418', '#46d6b5', 3);
  line('M2 74H120C190 74 190 46 260 46H418', '#ecf4f1', 3);
  return svg;
}
