// Settings: where to find what, for those who configure calls.

import { setTitle } from '../router.js';
import { state } from '../state.js';
import { fill, h, icon } from '../ui/dom.js';
import { empty } from '../ui/parts.js';

const SETTINGS = [
  ['/settings/channels', 'phone', 'Channel Settings', 'How each WhatsApp number takes calls: on and off, buttons, hours, links.'],
  ['/settings/routing', 'route', 'Routing', 'Who would get a call from a customer, and why. Nobody rings.'],
];
const CHANNELS = [
  ['/settings/channels/voice-calling', 'headset', 'WhatsApp Voice Calling', 'Call buttons, callback permission, call hours, closed dates, links.'],
];

export function settingsView(root) {
  if (!mayConfigure(root)) return;
  setTitle('Settings');
  fill(root, h('div', { class: 'page page-narrow' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Settings')), list(SETTINGS)));
}

export function channelsView(root) {
  if (!mayConfigure(root)) return;
  setTitle('Channel Settings');
  fill(root, h('div', { class: 'page page-narrow' },
    h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings']), h('h1', { tabindex: -1 }, 'Channel Settings'))), list(CHANNELS)));
}

/** Draws a refusal and answers false for a role that does not configure calls; the gateway would refuse it all the same. */
export function mayConfigure(root) {
  if (state.session.grants?.configure_calls) return true;
  setTitle('Not for your role');
  fill(root, h('div', { class: 'page' }, h('h1', { tabindex: -1 }, 'Not for your role'),
    h('div', { class: 'card' }, empty('lock', 'Your role does not configure calls', 'The owner can switch it on for you: “Allow access to configure WhatsApp Call settings”.'))));
  return false;
}

/** The way back: pairs of path and name. */
export function crumbs(...path) {
  return h('nav', { class: 'crumbs', ariaLabel: 'You are here' }, path.map(([href, name], i) => [i > 0 && h('span', { ariaHidden: 'true' }, '›'), h('a', { href }, name)]));
}

function list(entries) {
  return h('ul', { class: 'card doors' }, entries.map(([href, name, title, text]) => h('li', null,
    h('a', { href }, h('span', { class: 'dir' }, icon(name)), h('span', null, h('strong', null, title), h('span', { class: 'dim small' }, text)), icon('next', 'icon-s')))));
}
