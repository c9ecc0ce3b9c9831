// What each role may, as the rules in force have it: the same table that decides about every request.

import { api } from '../api.js';
import { setTitle } from '../router.js';
import { fill, h, icon } from '../ui/dom.js';
import { LOCALE, words } from '../ui/format.js';
import { failed, skeleton } from '../ui/parts.js';
import { reachWords } from '../ui/access.js';
import { SWITCHES } from '../ui/person.js';
import { crumbs, mayManage } from './settings.js';

export function rolesView(root, scope) {
  if (!mayManage(root)) return;
  setTitle('Roles');
  const body = h('div', { class: 'stack-gap' }, h('section', { class: 'card' }, skeleton(8)));
  fill(root, h('div', { class: 'page' }, h('div', { class: 'page-head' }, h('div', null, crumbs(['/settings', 'Settings']), h('h1', { tabindex: -1 }, 'Roles'))), body));
  async function load() {
    try {
      const access = await api.get('/v1/access', scope.signal);
      if (!scope.gone) fill(body, table(access.items), switchCard(access.items), whence(access));
    } catch (error) {
      if (!scope.gone) fill(body, h('section', { class: 'card' }, failed(error, load)));
    }
  }
  void load();
}

function table(rows) {
  const roles = rows[0]?.roles.map(({ role }) => role) ?? [];
  return h('section', { class: 'card', ariaLabel: 'What each role may' }, h('div', { class: 'table-wrap' },
    h('table', { class: 'stack roles', testid: 'roles', ariaLabel: 'What each role may' },
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'May'), roles.map((role) => h('th', { scope: 'col' }, words.role(role))))),
      h('tbody', null, rows.map((row) => h('tr', null,
        h('th', { scope: 'row', class: 'wide' }, row.deed),
        row.roles.map((column) => h('td', { data: { label: words.role(column.role), role: column.role } }, cell(column)))))))));
}

/** How far without switches, and under it what a switch makes of it. */
function cell({ without_switches: plain, configure_calls: configures, all_calls: all }) {
  const wider = [[configures, 'configure'], [all, 'All calls']].filter(([reach]) => reach !== plain);
  return h('div', { class: 'reach' }, mark(plain), wider.map(([reach, name]) => h('span', { class: 'dim small' }, `With “${name === 'configure' ? 'configure' : 'All calls'}”: ${reachWords(reach).toLowerCase()}`)));
}

function mark(reach) {
  if (reach === 'no') return h('span', { class: 'dim' }, h('span', { ariaHidden: 'true' }, '–'), h('span', { class: 'visually-hidden' }, 'No'));
  return h('span', { class: 'chip', data: { tone: { all: 'go', yes: 'go', team: 'info' }[reach] ?? '' } }, reach === 'yes' && icon('check', 'icon-s'), reachWords(reach));
}

/** Read off the table: what differs with a switch. */
function switchCard(rows) {
  const adds = (name) => rows.flatMap((row) => {
    const gains = row.roles.filter((column) => column[name] !== column.without_switches);
    return gains.length === 0 ? [] : [h('li', null, row.deed, gains[0][name] !== 'yes' && `: ${reachWords(gains[0][name]).toLowerCase()}`)];
  });
  return h('section', { class: 'card', ariaLabel: 'The two switches', testid: 'switches' },
    h('div', { class: 'card-head' }, h('h2', null, 'The two switches')),
    h('div', { class: 'card-pad stack-gap' }, h('p', { class: 'dim small' }, 'Set for one person at a time, under People. They add to the role and take nothing away.'),
      Object.entries(SWITCHES).map(([name, label]) => h('div', null, h('strong', null, `“${label}”`),
        h('ul', { class: 'may dim' }, adds(name).length > 0 ? adds(name) : h('li', null, 'Adds nothing under the rules in force.'))))));
}

function whence({ pack_name: name, policy_pack: id, edition_from: since }) {
  return h('section', { class: 'card', ariaLabel: 'Where this comes from' }, h('div', { class: 'card-head' }, h('h2', null, 'Where this comes from')),
    h('div', { class: 'card-pad stack-gap' },
      h('p', { class: 'dim small', testid: 'roles-source' }, `Policy pack “${name}” (${id}), edition of ${new Date(since).toLocaleDateString(LOCALE, { dateStyle: 'long' })}. Every cell is the answer of the rule that decides about requests, so the gateway does what stands here.`),
      h('p', { class: 'dim small' }, 'Roles change in the pack’s file: whoever runs the gateway edits [edition.roles] and [edition.switches], and loads it anew. ', h('span', { class: 'mono' }, 'tandem access'), ' prints the same table.')));
}
