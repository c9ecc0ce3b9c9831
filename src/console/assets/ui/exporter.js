// Taking a list out of the house: as a table; calls also as lines of JSON, or with all that was said. The
// gateway writes down who took what, and gives only what this role sees.

import { api, query } from '../api.js';
import { localDay } from './days.js';
import { fill, h } from './dom.js';
import { bytes } from './format.js';
import { menuButton } from './menu.js';
import { save } from './save.js';

const KINDS = [
  ['csv', 'Table (CSV)', 'One line a call, for spreadsheets.'],
  ['ndjson', 'Data (JSON lines)', 'One call object a line, for programs.'],
  ['zip', 'Archive (ZIP)', 'Recordings, transcripts, summaries and notes, a folder for each call.'],
];

/** Calls, in a file that is called by their section. */
export const callsTable = (name) => ({ path: '/v1/calls', name, about: 'Export these calls as', kinds: KINDS });
export const PERMISSIONS_TABLE = { path: '/v1/permissions', name: 'outbound-call-permissions', about: 'Export these permissions as', kinds: [['csv', 'Table (CSV)', 'One line a customer, for spreadsheets.']] };

/** A button with a menu; `what` is one of those above, `parameters()` answers the filters of the list as it is shown. */
export function exporter(scope, { path, name, about, kinds }, parameters) {
  const { element, menu, button, show } = menuButton(scope, { testid: 'export', name: 'download', label: 'Export', about });
  const said = h('div', { class: 'export-status', role: 'status', testid: 'export-status' });
  let running = null;

  fill(menu, kinds.map(([kind, label, about]) => h('button', { type: 'button', testid: `export-${kind}`, onclick: () => take(kind, label) },
    h('strong', null, label), h('span', null, about))));
  scope.add(() => running?.abort());

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
      const blob = await api.download(query(`${path}.${kind}`, parameters()), (count) => { amount.textContent = `${bytes(count)} so far…`; }, abort.signal);
      const file = `${name}-${localDay(new Date())}.${kind}`;
      save(blob, file);
      tell(`${label}: saved as ${file} (${bytes(blob.size)}).`);
    } catch (error) {
      tell(abort.signal.aborted ? `${label}: cancelled.` : h('span', { class: 'bad' }, `${label}: not exported. ${error.message}`));
    }
  }

  return { element, said };
}
