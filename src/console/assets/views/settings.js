// Settings: where to find what, for those who configure calls.

import { query } from '../api.js';
import { setTitle } from '../router.js';
import { state } from '../state.js';
import { fill, h, icon } from '../ui/dom.js';
import { empty } from '../ui/parts.js';

const SETTINGS = [
  ['/settings/channels', 'phone', 'Channel Settings', 'How each WhatsApp number takes calls: on and off, buttons, hours, links.', 'configure_calls'],
  ['/settings/routing', 'route', 'Routing', 'Who would get a call from a customer, and why. Nobody rings.', 'configure_calls'],
  ['/settings/people', 'contacts', 'People', 'Who works here: role, team, switches, invitations, access.', 'manage'],
  ['/settings/teams', 'people', 'Teams', 'Who is in which team, and who is left out of the round robin.', 'manage'],
  ['/settings/roles', 'shield', 'Roles', 'What each role may see and do, and what the two switches add.', 'manage'],
];
const CHANNELS = [
  ['/settings/channels/voice-calling', 'headset', 'WhatsApp Voice Calling', 'Call buttons, callback permission, call hours, closed dates, links.'],
];

/** For those who connect numbers: each of them, and one more. */
function connections() {
  if (!state.session.grants?.manage) return [];
  return [
    ...state.numbers.map(({ id, display_phone_number: shown }) => [query('/settings/channels/number', { id }), 'phone', shown, 'Number and token: plan, add-ons, messaging limit, Graph token.']),
    ['/settings/channels/number', 'plus', 'Connect a number', 'A WhatsApp number that is to take calls here.'],
  ];
}

export function settingsView(root) {
  const grants = state.session.grants ?? {};
  if (!grants.manage && !mayConfigure(root)) return;
  setTitle('Settings');
  fill(root, h('div', { class: 'page page-narrow' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Settings')), list(SETTINGS.filter(([, , , , grant]) => grants[grant]))));
}

export function channelsView(root) {
  if (!mayConfigure(root)) return;
  setTitle('Channel Settings');
  fill(root, h('div', { class: 'page page-narrow' },
    h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings']), h('h1', { tabindex: -1 }, 'Channel Settings'))), list([...CHANNELS, ...connections()])));
}

/** Draws a refusal and answers false for a role that does not configure calls; the gateway would refuse it all the same. */
export function mayConfigure(root) {
  if (state.session.grants?.configure_calls) return true;
  refuse(root, 'Your role does not configure calls', 'The owner can switch it on for you: “Allow access to configure WhatsApp Call settings”.');
  return false;
}

/** The same for a role that does not connect numbers. */
export function mayConnect(root) {
  if (state.session.grants?.manage) return true;
  refuse(root, 'Your role does not connect numbers', 'The owner does, and can give you a role that does.');
  return false;
}

/** The same for a role that does not manage people. */
export function mayManage(root) {
  if (state.session.grants?.manage) return true;
  refuse(root, 'Your role does not manage people', 'The owner does, and can give you a role that does.');
  return false;
}

function refuse(root, title, text) {
  setTitle('Not for your role');
  fill(root, h('div', { class: 'page' }, h('h1', { tabindex: -1 }, 'Not for your role'), h('div', { class: 'card' }, empty('lock', title, text))));
}

/** The way back: pairs of path and name. */
export function crumbs(...path) {
  return h('nav', { class: 'crumbs', ariaLabel: 'You are here' }, path.map(([href, name], i) => [i > 0 && h('span', { ariaHidden: 'true' }, '›'), h('a', { href }, name)]));
}

function list(entries) {
  return h('ul', { class: 'card doors' }, entries.map(([href, name, title, text]) => h('li', null,
    h('a', { href }, h('span', { class: 'dir' }, icon(name)), h('span', null, h('strong', null, title), h('span', { class: 'dim small' }, text)), icon('next', 'icon-s')))));
}
