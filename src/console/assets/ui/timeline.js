// A call's story in words, from the event log.

import { api } from '../api.js';
import { agentName } from '../state.js';
import { bdi, fill, h } from './dom.js';
import { alarmNews, clockTime, words } from './format.js';

const SENTENCES = {
  'call.created': ({ direction, agent_id: agent }) => (direction === 'business_initiated' ? [name(agent), ' called the customer'] : 'The customer called'),
  'call.ringing': () => 'The customer’s phone rang',
  'call.answered': ({ direction, agent_id: agent }) => (direction === 'business_initiated' ? 'The customer answered' : [name(agent), ' answered']),
  'call.held': () => 'The customer was put on hold',
  'call.resumed': () => 'The customer was taken off hold',
  'call.ended': ({ ended_by: by, answered_at: answered, agent_id: agent }) => (by === 'customer' ? (answered ? 'The customer hung up' : 'The customer ended the call') : by === 'agent' ? [name(agent), ' hung up'] : 'The call ended'),
  'call.agent_lost': ({ agent_id: agent }) => ['The connection to ', name(agent), '’s browser was lost'],
  'call.agent_attached': ({ agent_id: agent }) => [name(agent), '’s browser was connected again'],
  'call.dtmf': ({ digit, leg }) => `Key ${digit} was pressed${leg === 'agent' ? ' by the agent' : ''}`,
  'call.media_alarm': ({ kind, leg }) => alarmNews(kind, leg),
  'call.media_recovered': () => 'The line was good again',
  'call.marked': ({ by, disposition, tags }) => [who(by), tags ? (tags.length > 0 ? ` tagged it: ${tags.join(', ')}` : ' took its tags away') : disposition ? ` said it was: ${disposition}` : ' took the disposition back'],
  'offer.created': ({ agent_id: agent }) => ['It rang at ', name(agent)],
  'offer.shown': ({ agent_id: agent }) => [name(agent), '’s screen showed the call'],
  'offer.audible': ({ agent_id: agent }) => [name(agent), '’s computer rang aloud'],
  'offer.accepted': ({ agent_id: agent }) => [name(agent), ' accepted'],
  'message.sent': ({ by, text }) => [who(by), ' wrote to the customer: ', bdi(text)],
  'message.failed': ({ by, why }) => [who(by), ` could not write to the customer: ${why}`],
  'offer.withdrawn': ({ agent_id: agent, reason }) => ['It stopped ringing', agent ? [' at ', name(agent)] : '', reason ? `: ${words.cause(reason)}` : ''],
  'recording.announced': () => 'Both were told about the recording',
  'recording.opted_out': () => 'The customer did not want to be recorded',
  'recording.started': () => 'Recording began',
  'recording.paused': () => 'Recording was paused',
  'recording.resumed': () => 'Recording went on',
  'recording.ready': () => 'The recording was ready',
  'recording.failed': () => 'The recording failed',
  'recording.deleted': () => 'The recording was deleted',
  'transcript.ready': () => 'The transcript was ready',
  'transcript.failed': () => 'The transcript stayed incomplete',
  'summary.ready': () => 'The summary was ready',
  'summary.failed': () => 'No summary could be made',
  'note.added': ({ author_id: author, author_key: key }) => [author ? name(author) : key ?? 'A program', ' wrote a note'],
  'note.removed': ({ by }) => [who(by), ' removed a note'],
};
/** Says only that the record changed, which other lines say better. */
const DULL = new Set(['call.updated']);

/** Fills `root`; answers `{ update }`, which reads it again. */
export function timelinePane(card, root, scope, id) {
  let drawn = 0;
  async function load() {
    try {
      const { items } = await api.get(`/v1/calls/${id}/timeline`, scope.signal);
      const shown = items.filter(({ type }) => !DULL.has(type));
      if (scope.gone || shown.length === drawn) return;
      drawn = shown.length;
      card.hidden = drawn === 0;
      fill(root, h('ol', { class: 'timeline', testid: 'timeline' }, shown.map((event) => h('li', null,
        h('time', { datetime: event.occurred_at }, clockTime(event.occurred_at)), h('span', null, sentence(event))))));
    } catch { /* the page is whole without it */ }
  }
  let asked = null;
  scope.add(() => clearTimeout(asked));
  void load();
  return {
    update() {
      clearTimeout(asked);
      asked = setTimeout(load, 400);
    },
  };
}

function sentence({ type, data }) {
  if (Object.hasOwn(SENTENCES, type)) return SENTENCES[type](data ?? {});
  const text = type.replaceAll(/[._]/g, ' ');
  return text[0].toUpperCase() + text.slice(1);
}

function name(agent) {
  return bdi(agentName(agent) ?? 'an agent');
}

function who(by) {
  return by?.agent_id ? name(by.agent_id) : bdi(by?.name ?? 'A program');
}
