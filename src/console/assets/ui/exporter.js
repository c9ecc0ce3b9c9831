// Taking a list of calls out of the house: as a table, as lines of JSON, or with all that was said. The
// gateway writes down who took what, and gives only what this role sees.

import { api, query } from '../api.js';
import { fill, h, icon } from './dom.js';
import { bytes } from './format.js';
import { save } from './save.js';

const KINDS = [
  ['csv', 'Table (CSV)', 'One line a call, for spreadsheets.'],
  ['ndjson', 'Data (JSON lines)', 'One call object a line, for programs.'],
  ['zip', 'Archive (ZIP)', 'Recordings, transcripts, summaries and notes, a folder for each call.'],
];

/** A button with a menu; `parameters()` answers the filters of the list as it is shown. */
export function exporter(scope, parameters) {
  const menu = h('div', { class: 'menu', id: 'export-menu', testid: 'export-menu', hidden: true, role: 'group', ariaLabel: 'Export these calls as' });
  const button = h('button', { type: 'button', class: 'btn', testid: 'export', ariaExpanded: false, ariaControls: 'export-menu', onclick: () => show(menu.hidden) }, icon('download'), 'Export');
  const said = h('div', { class: 'export-status', role: 'status', testid: 'export-status' });
  const element = h('div', { class: 'menu-anchor' }, button, menu);
  let running = null;

  fill(menu, KINDS.map(([kind, label, about]) => h('button', { type: 'button', testid: `export-${kind}`, onclick: () => take(kind, label) },
    h('strong', null, label), h('span', null, about))));

  function show(wish) {
    menu.hidden = !wish;
    button.setAttribute('aria-expanded', String(wish));
    if (wish) menu.querySelector('button').focus();
  }

  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || menu.hidden) return;
    show(false);
    button.focus();
  });
  const outside = (event) => { if (!element.contains(event.target)) show(false); };
  document.addEventListener('pointerdown', outside);
  scope.add(() => {
    document.removeEventListener('pointerdown', outside);
    running?.abort();
  });

  async function take(kind, label) {
    show(false);
    button.focus();
    running?.abort();
    const abort = new AbortController();
    running = abort;
    const tell = (...words) => { if (running === abort) fill(said, words); };
    const stop = h('button', { type: 'button', class: 'link', onclick: () => abort.abort() }, 'Cancel');
    const amount = h('span', null, 'asking the gateway…');
    tell(`${label}: `, amount, ' ', stop);
    try {
      const blob = await api.download(query(`/v1/calls.${kind}`, parameters()), (count) => { amount.textContent = `${bytes(count)} so far…`; }, abort.signal);
      save(blob, `calls.${kind}`);
      tell(`${label}: saved as calls.${kind} (${bytes(blob.size)}).`);
    } catch (error) {
      tell(abort.signal.aborted ? `${label}: cancelled.` : h('span', { class: 'bad' }, `${label}: not exported. ${error.message}`));
    }
  }

  return { element, said };
}
