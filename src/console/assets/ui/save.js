// Hands a file to the browser's downloads.

import { h } from './dom.js';

/** Long enough for the browser to have taken it. */
const TAKEN_MS = 60_000;

export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h('a', { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), TAKEN_MS);
}
