// Whether the recording is still what was recorded: asked for by a click, because the gateway reads all of it.

import { api } from '../api.js';
import { bdi, fill, h, icon } from './dom.js';
import { whenExactly } from './format.js';

export function sealPane(scope, id) {
  const root = h('div', { class: 'seal', testid: 'integrity' });
  const ask = (label) => h('button', { type: 'button', class: 'link', testid: 'integrity-check', onclick: check }, label);

  async function check() {
    fill(root, h('span', { class: 'dim' }, 'Reading the recording…'));
    try {
      const { intact, faults, sound_checked: sound, signed_at: signed } = await api.get(`/v1/calls/${id}/recording/verification`, scope.signal);
      if (scope.gone) return;
      fill(root, h('span', { class: 'chip', testid: 'integrity-badge', data: { tone: intact ? 'go' : 'stop' } }, icon(intact ? 'shield' : 'warn', 'icon-s'), intact ? 'Intact and signed' : 'Not as it was recorded'),
        intact ? h('span', { class: 'dim small' }, `Signed ${whenExactly(signed)}.${sound ? '' : ' The sealed sound itself could not be opened here.'}`)
          : h('ul', { class: 'small' }, faults.map((fault) => h('li', null, bdi(fault)))));
    } catch (error) {
      if (scope.gone) return;
      if (error.status === 404) fill(root, h('span', { class: 'dim' }, 'Recordings are not signed here.'));
      else fill(root, h('span', { class: 'bad' }, error.message), ask('Try again'));
    }
  }

  fill(root, ask('Check that nothing was altered'));
  return root;
}
