// What the pages about people say of one.

import { CHECKS } from '../readiness.js';
import { bdi, h } from './dom.js';
import { when } from './format.js';
import { avatar } from './parts.js';

/** As the guide has them. */
export const SWITCHES = {
  configure_calls: 'Allow access to configure WhatsApp Call settings',
  all_calls: 'Allow access to Call Management section (All calls)',
};
export const EXCLUSION = 'The round robin passes this agent by. Calls of customers who are assigned to this agent, or owned, still ring while the agent is online and free.';

export function personCell(agent, href, note = agent.email) {
  return h('div', { class: 'who' }, avatar(agent), h('div', null, h('a', { href }, bdi(agent.name)), note && h('span', null, bdi(note))));
}

/** Online or not, busy, excluded: one chip each. */
export function presenceChips(agent) {
  const busy = agent.active_calls > 0;
  return [
    busy
      ? h('span', { class: 'chip', data: { tone: 'go', live: '' } }, 'In a call')
      : h('span', { class: 'chip', data: { tone: agent.status === 'online' ? 'go' : '' } }, agent.status === 'online' ? 'Online' : 'Offline'),
    agent.excluded && h('span', { class: 'chip', data: { tone: 'warn' } }, 'Excluded'),
  ];
}

/** Whether the console of this agent could take a call, and what keeps it. */
export function readinessWords({ readiness, status }) {
  if (!readiness) return status === 'online' ? 'Has not said whether it is ready' : 'No console open';
  if (readiness.ready) return 'Ready for calls';
  const missing = Object.entries(CHECKS).filter(([check]) => readiness[check] === 'failed' || (readiness[check] === 'unknown' && check !== 'notifications'));
  return `Not ready: ${missing.map(([, name]) => name.toLowerCase()).join(', ')}`;
}

/** How this agent comes in; a tone and words. */
export function signInWords(way) {
  if (!way) return ['', '–'];
  if (way.password_at) return ['', way.seen_at ? `Last seen ${when(way.seen_at)}` : 'Has a password, signed in nowhere'];
  if (way.invited_until) return ['info', `Invited until ${when(way.invited_until)}`];
  return ['warn', 'Cannot sign in yet'];
}

/** By name, as people look for people. */
export function byName(one, other) {
  return one.name.localeCompare(other.name) || one.id.localeCompare(other.id);
}

/** An id of ours: what it is, its name in plain letters, and something that nobody else has. */
export function newId(kind, name) {
  const slug = name.normalize('NFKD').toLowerCase().replace(/[^a-z0-9]+/g, '_').replace(/^_+|_+$/g, '').slice(0, 24);
  const own = [...crypto.getRandomValues(new Uint8Array(3))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [kind, slug, own].filter(Boolean).join('_');
}
