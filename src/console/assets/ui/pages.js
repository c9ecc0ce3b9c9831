// The console's pages, in the order of its navigation.

import { state } from '../state.js';

const PAGES = [
  ['/', 'home', 'Home', 'home'],
  ['/live', 'wall', 'Live', 'live', (grants) => grants.calls !== 'own'],
  ['/calls', 'calls', 'Calls', 'calls'],
  ['/contacts', 'contacts', 'Contacts', 'contacts'],
  ['/analytics', 'chart', 'Analytics', 'analytics'],
  ['/wallet', 'wallet', 'Wallet', 'wallet', (grants) => grants.wallet],
  ['/devices', 'headset', 'Devices', 'devices'],
];
/** As many as stand side by side on a phone; of more, the last place leads to the rest. */
const ON_A_PHONE = 5;

/** `{ all, rest }`, as `[path, icon, name, section]`: what this role may see, and what of it a phone has no place for. */
export function pages() {
  // What a role may not see is not there.
  const all = PAGES.filter(([, , , , may]) => !may || may(state.session.grants ?? {}));
  return { all, rest: all.length > ON_A_PHONE ? all.slice(ON_A_PHONE - 1) : [] };
}
