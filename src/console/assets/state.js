// What the console knows. Filled from the API and the event stream; views only read it.

import { everyItem } from './api.js';
import { emit } from './bus.js';

export const state = {
  session: null,
  /** The signed-in agent. */
  agent: null,
  /** Agents by id, for names. */
  agents: new Map(),
  /** Those who left, by id: what they did goes on bearing their names. */
  former: new Map(),
  /** Business numbers. */
  numbers: [],
  /** Offers to this agent that still ring, by offer id. */
  offers: new Map(),
  /** Every call heard of lately, by id. */
  calls: new Map(),
  /** The event stream: connecting | live | down. */
  link: 'connecting',
};

/** States in which a call of ours has, or wants, audio. */
const TALKING = new Set(['answering', 'active', 'held']);
const DIALLING = new Set(['new', 'checking', 'offering', 'ringing']);

export function forgetEverything() {
  state.session = null;
  state.agent = null;
  state.agents.clear();
  state.former.clear();
  state.numbers = [];
  state.offers.clear();
  state.calls.clear();
  state.link = 'connecting';
}

export function isDialling(call) {
  return call.direction === 'business_initiated' && DIALLING.has(call.state);
}

/** Answered, and not over yet. */
export function isTalking(call) {
  return TALKING.has(call?.state);
}

/** Talked, and over, and what was said is still being written down or summed up. */
export function awaitsSummary({ state: at, answered_at: answeredAt, transcript, summary }) {
  if (at !== 'ended' || !answeredAt || ['ready', 'failed'].includes(summary?.state)) return false;
  return summary?.state === 'pending' || ['live', 'pending'].includes(transcript?.state);
}

export function isMineAndAlive(call) {
  return call.agent_id === state.agent?.id && (isTalking(call) || isDialling(call));
}

/** The call this agent is in or is dialling, or null. */
export function myCall() {
  let found = null;
  for (const call of state.calls.values()) {
    if (isMineAndAlive(call) && (found === null || call.created_at > found.created_at)) found = call;
  }
  return found;
}

/** How far a call has come; hold and resume go back and forth between equals. */
const STAGE = { new: 0, checking: 1, offering: 2, ringing: 3, answering: 4, active: 5, held: 5, wrap_up: 6, ended: 7 };

/** Takes in a call object, from whichever source, and tells everybody. */
export function noteCall(call) {
  const known = state.calls.get(call.id);
  // An answer or a list made before an event arrived must not take the call back to where it was.
  if (known && STAGE[call.state] < STAGE[known.state]) return;
  state.calls.set(call.id, call);
  forgetOldCalls();
  emit('call', call);
}

export function noteAgentStatus(agentId, status) {
  noteColleague(agentId, { status });
  if (agentId === state.agent?.id) {
    state.agent = { ...state.agent, status };
    emit('agent');
  }
}

/** What is new about an agent, whoever it is. */
export function noteColleague(agentId, change) {
  const known = state.agents.get(agentId);
  if (!known) return;
  state.agents.set(agentId, { ...known, ...change });
  emit('colleague', agentId);
}

/** Somebody's name, team or rights changed, or there is somebody new. */
export function noteAgent(agent) {
  state.agents.set(agent.id, { ...state.agents.get(agent.id), ...agent });
  state.former.delete(agent.id);
}

/** A number was connected or changed. */
export function noteNumber(number) {
  state.numbers = [...state.numbers.filter(({ id }) => id !== number.id), number].sort((one, other) => (one.id < other.id ? -1 : 1));
  emit('numbers');
}

/** Somebody left. */
export function noteFormer(agent) {
  state.agents.delete(agent.id);
  state.former.set(agent.id, agent);
}

/** Takes in who the gateway says this is; true if that is more or less than before. The status is told by its events. */
export function adoptSession(session) {
  const rights = ({ grants }, { role, team_id: team, switches }) => JSON.stringify([grants, role, team, switches]);
  const changed = rights(session, session.agent) !== rights(state.session, state.agent);
  state.session = session;
  state.agent = { ...session.agent, status: state.agent.status };
  return changed;
}

export function agentName(id) {
  if (!id) return null;
  if (id === state.agent?.id) return state.agent.name;
  return (state.agents.get(id) ?? state.former.get(id))?.name ?? id;
}

export function numberOf(id) {
  return state.numbers.find((number) => number.id === id)?.display_phone_number ?? null;
}

/** Names and numbers for every page; a role that may not read them still gets a console. */
export async function loadDirectory() {
  const [agents, numbers, former] = await Promise.allSettled(['/v1/agents', '/v1/numbers', '/v1/former-agents'].map(everyItem));
  if (agents.status === 'fulfilled') {
    state.agents = new Map(agents.value.map((agent) => [agent.id, agent]));
  }
  if (numbers.status === 'fulfilled') state.numbers = numbers.value;
  if (former.status === 'fulfilled') state.former = new Map(former.value.map((agent) => [agent.id, agent]));
  emit('agent');
}

/** A console stays open all day: keep the living and the latest. */
function forgetOldCalls() {
  const limit = 500;
  if (state.calls.size <= limit) return;
  for (const [id, call] of state.calls) {
    if (state.calls.size <= limit) return;
    if (call.state === 'ended') state.calls.delete(id);
  }
}
