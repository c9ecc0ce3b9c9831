// Sign-in: with a password; with a token, for whoever was given one; and by a link, to choose a password.

import { openDialog } from '../ui/dialog.js';
import { bdi, fill, h, icon } from '../ui/dom.js';
import { facts, notice } from '../ui/parts.js';
import { setTitle } from '../router.js';

/** `password(login, password)` and `token(token)` reject with the sentence to show. */
export function showSignIn(root, sentence, ways) {
  setTitle('Sign in');
  const place = h('section', { class: 'signin-form' });
  frame(root, place);
  signInForms(place, ways).say(sentence);
}

/** Over a page whose call goes on; the same `ways`. */
export function askToSignInAgain({ password, token }) {
  const place = h('div', { class: 'signin-again' });
  openDialog({
    title: 'Sign in again',
    testid: 'sign-in-again',
    build: ({ close }) => {
      const thenClose = (way) => async (...given) => {
        await way(...given);
        close();
      };
      signInForms(place, { password: thenClose(password), token: thenClose(token) });
      return { body: place, foot: [] };
    },
  });
  place.querySelector('input').focus();
}

/** Fills `place` with one way to sign in and a button to the other; answers the first. */
function signInForms(place, { password, token }) {
  const byPassword = form({
    title: 'Sign in',
    hint: 'With your work e-mail address. Forgot the password? Whoever manages your team can send you a link.',
    fields: [
      { id: 'login', label: 'E-mail address', type: 'text', inputMode: 'email', autocomplete: 'username', missing: 'Type your e-mail address.' },
      { id: 'password', label: 'Password', type: 'password', autocomplete: 'current-password', missing: 'Type your password.' },
    ],
    button: 'Sign in',
    submit: ({ login, password: secret }) => password(login.trim(), secret),
    other: ['Use an agent token instead', () => show(byToken)],
  });
  const byToken = form({
    title: 'Sign in',
    hint: 'Open the link you were given, or paste the agent token from it. It stays in this tab and is forgotten when you close it.',
    fields: [{ id: 'token', label: 'Agent token', type: 'password', autocomplete: 'off', placeholder: 'ta_…', mono: true, missing: 'Paste the token first. It begins with ta_.' }],
    button: 'Sign in',
    submit: (given) => token(tokenIn(given.token)),
    other: ['Use a password instead', () => show(byPassword)],
  });
  function show(shown) {
    fill(place, shown.element);
    shown.focus();
  }
  show(byPassword);
  return byPassword;
}

/** `whose`: what the gateway tells of the invitation; `submit(password)` rejects with the sentence to show. */
export function showWelcome(root, whose, submit) {
  setTitle('Welcome');
  const login = whose.email ?? whose.agent_id;
  const chosen = form({
    title: 'Choose a password',
    hint: 'At least 10 characters; three or four words make a good one. You sign in with it from now on.',
    account: h('div', { class: 'stack-gap', testid: 'welcome-account' },
      facts([['Account of', bdi(whose.name)], ['Signs in with', bdi(login)], ['Team', whose.team && bdi(whose.team)], ['At', location.host]]),
      h('p', { class: 'dim small' }, 'Not you? Choose no password, and tell whoever sent you the link.'),
      // So that the browser keeps the password under the right name.
      h('input', { type: 'text', autocomplete: 'username', value: login, hidden: true, readOnly: true })),
    fields: [
      { id: 'password', label: 'New password', type: 'password', autocomplete: 'new-password', missing: 'Choose a password.' },
      { id: 'again', label: 'The same again', type: 'password', autocomplete: 'new-password', missing: 'Type the password once more.' },
    ],
    button: 'Save and sign in',
    async submit({ password, again }) {
      if (password !== again) throw new Error('The two are not the same. Type the password again.');
      await submit(password);
    },
  });
  frame(root, h('section', { class: 'signin-form' }, chosen.element));
  chosen.focus();
}

/** Instead of a form that could only be refused. `again`: a button's word, and what it does. */
export function showDeadLink(root, sentence, [word, again]) {
  setTitle('Welcome');
  const button = h('button', { class: 'btn btn-primary', type: 'button', testid: 'dead-link-again', onclick: again }, word);
  frame(root, h('section', { class: 'signin-form' },
    h('div', { class: 'signin-dead stack-gap', testid: 'dead-link' }, h('h2', null, 'This link cannot be used'), notice('stop', 'warn', sentence), button)));
  button.focus();
}

/** A form of named fields; `submit(values)` rejects with the sentence to show. */
function form({ title, hint, account, fields, button, submit, other }) {
  const message = h('div', { id: 'sign-in-message', ariaLive: 'assertive' });
  const say = (text) => fill(message, text && notice('stop', 'warn', text));
  const inputs = fields.map(({ id, type, inputMode, autocomplete, placeholder, mono }) => h('input', {
    class: mono ? 'input mono' : 'input', id, name: id, type, inputMode, testid: `sign-in-${id}`, autocomplete, placeholder, spellcheck: 'false', autocapitalize: 'none', ariaDescribedBy: 'sign-in-hint sign-in-message',
  }));
  const send = h('button', { class: 'btn btn-primary', type: 'submit', testid: 'sign-in-submit' }, button);

  async function onSubmit(event) {
    event.preventDefault();
    const empty = inputs.findIndex((input) => input.value.trim() === '');
    if (empty >= 0) {
      say(fields[empty].missing);
      inputs[empty].focus();
      return;
    }
    send.disabled = true;
    try {
      await submit(Object.fromEntries(inputs.map((input) => [input.name, input.value])));
    } catch (error) {
      say(error.message);
      send.disabled = false;
      inputs.at(-1).select();
    }
  }

  const element = h('form', { onsubmit: onSubmit, novalidate: true },
    h('div', null, h('h2', null, title), h('p', { class: 'dim', id: 'sign-in-hint' }, hint)),
    account,
    message,
    ...inputs.map((input, i) => h('div', { class: 'field' }, h('label', { for: input.id }, fields[i].label), input)),
    send,
    other && h('button', { class: 'btn', type: 'button', testid: 'sign-in-other', onclick: other[1] }, other[0]));
  return { element, say, focus: () => inputs[0].focus() };
}

function frame(root, form) {
  fill(root, h('main', { class: 'signin' },
    h('section', { class: 'signin-brand' },
      h('div', { class: 'brand' }, icon('tandem'), h('span', null, 'Tandem')),
      h('div', null, h('h1', null, 'WhatsApp calls, answered in the browser.'), h('p', null, 'Go online, and the customer’s call rings here. No phone, no plug-in: a headset is enough.')),
      trunks()),
    form));
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
