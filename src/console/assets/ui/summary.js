// What a call came to: each point with the place in the recording that it rests on.

import { api } from '../api.js';
import { awaitsSummary, state } from '../state.js';
import { bdi, fill, h, icon } from './dom.js';
import { clockFromMs, duration, words } from './format.js';
import { failed, skeleton } from './parts.js';
import { save } from './save.js';
import { toastError } from './toast.js';

const WRITING = 'The summary is being written…';
const OUTCOMES = { resolved: 'Resolved', follow_up: 'To be followed up', escalated: 'Escalated', unresolved: 'Unresolved', wrong_number: 'Wrong number' };
const DETAILS = { date: 'Date', amount: 'Amount', phone: 'Phone', email: 'Email', reference: 'Reference' };

/** Fills `root`; answers `{ update(call) }`. `seek(ms)` is called when somebody picks a place. */
export function summaryPane(root, scope, first, seek) {
  let call = first;
  fill(root, skeleton(3));

  async function load() {
    try {
      const told = await api.get(`/v1/calls/${call.id}/summary`, scope.signal);
      if (!scope.gone) draw(told);
    } catch (error) {
      if (!scope.gone) fill(root, failed(error, load));
    }
  }

  function draw({ state: at, summary }) {
    const mine = call.state === 'ended' && call.agent_id === state.agent.id;
    const again = (label) => mine && h('button', { type: 'button', class: 'link', testid: 'summary-again', onclick: retry }, label);
    if (!summary) {
      const said = {
        pending: WRITING,
        failed: ['No summary could be made. ', again('Try again')],
      }[at] ?? (awaitsSummary(call) ? WRITING : call.answered_at ? call.state === 'ended' ? 'There is no summary of this call.' : 'The call is summed up when it has ended.' : 'Nobody talked in this call.');
      return fill(root, h('p', { class: 'dim', testid: 'summary-state' }, said));
    }
    const points = (label, list, tail = () => null) => list?.length > 0 && h('section', null, h('h3', null, label), h('ul', { class: 'points' }, list.map((point) => h('li', null, place(point), h('span', null, words_(point, summary.kind), tail(point))))));
    return fill(root, h('div', { class: 'summary', testid: 'summary' },
      h('p', { dir: 'auto' }, summary.text),
      at === 'pending' && h('p', { class: 'dim small' }, 'A newer one is being written…'),
      points('Why the call was made', summary.reason && [summary.reason]),
      points('Key points', summary.key_points),
      points('To do', summary.action_items, ({ owner, due }) => h('span', { class: 'dim' }, ` — ${side(owner)}${due ? `, ${due}` : ''}`)),
      points('Questions', summary.questions, ({ answered }) => h('span', { class: 'dim' }, answered ? ' — answered' : ' — not answered')),
      points('Details', summary.details, ({ kind, value }) => h('span', { class: 'dim' }, ` — ${DETAILS[kind] ?? kind}: `, bdi(value))),
      points('Outcome', summary.outcome && [summary.outcome], ({ word }) => h('span', { class: 'dim' }, ` — ${OUTCOMES[word] ?? word}`)),
      figures(summary.figures),
      h('p', { class: 'dim small' }, [
        summary.kind === 'generated' ? `Worded by ${summary.model ?? 'a language model'}; each point was checked against the transcript.` : 'Words of the call itself, chosen by rules.',
        summary.unheard_ms > 0 && ` ${duration(summary.unheard_ms)} of speech is not written down, so something may be missing.`,
        summary.withheld > 0 && ` ${summary.withheld} statements that the transcript does not bear out were left out.`,
      ], ' ', again('Sum up anew')),
      h('div', { class: 'card-tools' }, h('button', { type: 'button', class: 'btn btn-s', testid: 'summary-json', onclick: () => save(new Blob([JSON.stringify(summary, null, 2)], { type: 'application/json' }), `${call.id}.summary.json`) }, icon('download', 'icon-s'), 'JSON'))));
  }

  function place({ start_ms: at, speaker }) {
    return h('button', { type: 'button', ariaLabel: `Play ${side(speaker)} from ${clockFromMs(at)}`, title: side(speaker), onclick: () => seek(at) }, clockFromMs(at));
  }

  async function retry() {
    try {
      await api.post(`/v1/calls/${call.id}/summary`);
      await load();
    } catch (error) {
      toastError('The summary was not asked for', error);
    }
  }

  void load();
  scope.on('summary', (data) => { if (data.call_id === call.id) void load(); });
  return {
    update(changed) {
      const stage = () => `${call.state} ${call.summary?.state} ${awaitsSummary(call)}`;
      const was = stage();
      call = changed;
      if (stage() !== was) void load();
    },
  };
}

/** The speaker's own words stand in quotation marks. */
function words_({ text }, kind) {
  return kind === 'extractive' ? h('q', { dir: 'auto' }, text) : h('span', { dir: 'auto' }, text);
}

function side(speaker) {
  return speaker === 'agent' ? 'Agent' : words.leg('whatsapp');
}

function figures(told) {
  const talk = (told?.customer_talk_ms ?? 0) + (told?.agent_talk_ms ?? 0);
  if (talk === 0) return null;
  const share = Math.round(((told.customer_talk_ms ?? 0) / talk) * 100);
  return h('p', { class: 'dim small' }, `Customer ${duration(told.customer_talk_ms)} (${share} %), agent ${duration(told.agent_talk_ms)} (${100 - share} %), silence ${duration(told.silence_ms)}.`);
}
