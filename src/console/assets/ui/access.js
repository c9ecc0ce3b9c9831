// What roles and switches come to, in words. The table is the gateway's: the one that decides.

import { state } from '../state.js';

const ORDER = ['no', 'yes', 'own', 'team', 'all'];
const WORDS = { no: 'No', yes: 'Yes', own: 'Own', team: 'Own team’s', all: 'Everybody’s' };

export function reachWords(reach) {
  return WORDS[reach] ?? reach;
}

/** How far one row of the table goes for a role with these switches. */
export function reachOf(row, role, switches) {
  const column = row.roles.find((one) => one.role === role);
  if (!column) return 'no';
  const reaches = [column.without_switches, switches.configure_calls && column.configure_calls, switches.all_calls && column.all_calls].filter(Boolean);
  return reaches.reduce((widest, reach) => (ORDER.indexOf(reach) > ORDER.indexOf(widest) ? reach : widest));
}

/** What somebody may, as `[deed, reach]`; `more`: only what not every agent may. */
export function mayList(rows, role, switches, { more = false } = {}) {
  const least = (row) => Math.min(...row.roles.map(({ without_switches: reach }) => ORDER.indexOf(reach)));
  return rows
    .map((row) => [row.deed, reachOf(row, role, switches), least(row)])
    .filter(([, reach, every]) => reach !== 'no' && (!more || ORDER.indexOf(reach) > every));
}

/** The signed-in agent's own. */
export function myList(rows) {
  return mayList(rows, state.agent.role, state.agent.switches);
}
