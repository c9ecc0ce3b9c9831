// Calls as a table, live: rows are kept by call id and redrawn when a call changes.

import { msSince } from '../clock.js';
import { agentName } from '../state.js';
import { bdi, h, fill, setText } from './dom.js';
import { clockTime, duration, when } from './format.js';
import { directionMark, statusBadge, whoCell } from './parts.js';

/** The guide's columns, in its order. */
export const SIX = ['Customer name', 'Date/Time', 'Status', 'Duration', 'Agent Name', 'Summary'];
export const MISSED = SIX.slice(0, 5);
/** On a contact's own page the name would say nothing. */
export const OF_CONTACT = SIX.slice(1);

export class CallTable {
  #rows = new Map();
  #body = h('tbody');
  #columns;
  #offered;

  /** `offered`: the agent cell lists every agent the call was offered to, with the time. */
  constructor(columns, { offered = false, label }) {
    this.#columns = columns;
    this.#offered = offered;
    this.element = h('div', { class: 'table-wrap heads-stay' },
      h('table', { class: 'stack', testid: 'calls-table', ariaLabel: label },
        h('thead', null, h('tr', null, columns.map((name) => h('th', { scope: 'col' }, name)))),
        this.#body));
  }

  get size() {
    return this.#rows.size;
  }

  has(id) {
    return this.#rows.has(id);
  }

  /** Puts the newest page in front: redraws what is known, inserts what is new. */
  putFirst(calls) {
    let after = null;
    for (const call of calls) {
      const row = this.#put(call);
      if (!row.isConnected) this.#body.insertBefore(row, after ? after.nextSibling : this.#body.firstChild);
      after = row;
    }
  }

  /** The newest page, `whole` if there is no other: of the same time only what is on it belongs here still. */
  keepFirst(calls, whole) {
    const there = new Set(calls.map((call) => call.id));
    const oldest = calls.at(-1)?.created_at;
    for (const [id, { call }] of [...this.#rows]) {
      if (!there.has(id) && (whole || call.created_at > oldest)) this.remove(id);
    }
    this.putFirst(calls);
  }

  /** Lets the oldest rows go. */
  keepNewest(count) {
    while (this.#rows.size > count) this.remove(this.#body.lastElementChild.dataset.callId);
  }

  putLast(calls) {
    for (const call of calls) {
      const row = this.#put(call);
      if (!row.isConnected) this.#body.append(row);
    }
  }

  update(call) {
    if (this.#rows.has(call.id)) this.#put(call);
  }

  remove(id) {
    this.#rows.get(id)?.row.remove();
    this.#rows.delete(id);
  }

  clear() {
    this.#rows.clear();
    fill(this.#body);
  }

  /** Once a second: durations of calls that run. */
  tick() {
    for (const { call, clock } of this.#rows.values()) {
      if (clock && call.answered_at && call.state !== 'ended') setText(clock, duration(msSince(call.answered_at)));
    }
  }

  #put(call) {
    const row = this.#rows.get(call.id)?.row ?? h('tr', { testid: 'call-row' });
    row.dataset.callId = call.id;
    row.dataset.status = call.status;
    row.dataset.href = `/calls/${call.id}`;
    const hadFocus = row.contains(document.activeElement);
    const clock = h('span', { class: 'num' }, durationOf(call));
    fill(row, this.#columns.map((name) => this.#cell(name, call, clock)));
    if (hadFocus) row.querySelector('a')?.focus({ preventScroll: true });
    this.#rows.set(call.id, { row, call, clock });
    return row;
  }

  #cell(name, call, clock) {
    const href = `/calls/${call.id}`;
    switch (name) {
      case 'Customer name': return h('td', null, whoCell(call.contact, href, directionMark(call)));
      case 'Date/Time':
        if (this.#columns[0] === name) return h('td', { class: 'nowrap' }, h('div', { class: 'who' }, directionMark(call), h('a', { class: 'plain', href }, h('time', { datetime: call.created_at }, when(call.created_at)))));
        return h('td', { class: 'nowrap num aside' }, h('time', { datetime: call.created_at }, when(call.created_at)));
      case 'Status': return h('td', null, statusBadge(call.status));
      case 'Duration': return h('td', { class: 'aside', data: { ...(!call.answered_at && { nothing: '' }) } }, clock);
      case 'Agent Name': return h('td', { class: 'wide', data: { label: 'Agent' } }, this.#offered ? offeredAgents(call) : h('span', null, agentOf(call)));
      // Two lines; the whole of it is a click away, and under the pointer.
      default: return h('td', { class: 'wide summary-cell', title: call.summary?.text, data: { label: 'Summary', ...(!call.summary?.text && { nothing: '' }) } }, h('span', { dir: 'auto' }, call.summary?.text || '–'));
    }
  }
}

function durationOf(call) {
  if (!call.answered_at) return '–';
  return duration(call.state === 'ended' ? call.duration_ms : msSince(call.answered_at));
}

/** Who took it, or who let it ring. */
function agentOf(call) {
  const offered = [...new Set((call.offers ?? []).map((offer) => agentName(offer.agent_id)))];
  return agentName(call.agent_id) ?? (offered.join(', ') || '–');
}

function offeredAgents(call) {
  const offers = call.offers ?? [];
  if (offers.length === 0) {
    return h('span', { class: call.agent_id ? null : 'dim' }, agentName(call.agent_id) ?? 'No agent was available');
  }
  return h('div', { class: 'offered' }, offers.map((offer) => h('div', null,
    bdi(agentName(offer.agent_id)), h('time', { class: 'num', datetime: offer.offered_at }, clockTime(offer.offered_at)))));
}
