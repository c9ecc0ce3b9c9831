// The call bar in a small window of its own that stays above all others, where the browser has such windows (Document
// Picture-in-Picture). The bar itself moves there and back; nothing of the call is done anew.

import { h, icon } from './dom.js';
import { shareIcons } from './icons.js';
import { pressed } from './keys.js';

const WIDTH = 420;
const HEIGHT = 300;

export function canPopOut() {
  return 'documentPictureInPicture' in globalThis;
}

/** A button for `element`, which goes home to `root`. Answers `{ button, close() }`. */
export function popOut(element, root) {
  let small = null;
  const away = h('div', { class: 'call-away', testid: 'call-away', hidden: true }, h('span', null, 'The call is in its own small window.'),
    h('button', { type: 'button', class: 'btn btn-s', onclick: () => close() }, 'Bring it back'));
  const button = h('button', { type: 'button', class: 'call-popout', testid: 'call-popout', ariaLabel: 'Call in a window of its own', title: 'In a window of its own', onclick: () => (small ? close() : open()) }, icon('window', 'icon-s'));

  async function open() {
    try {
      small = await globalThis.documentPictureInPicture.requestWindow({ width: WIDTH, height: HEIGHT });
    } catch {
      return; // the person, or the system, does not want it
    }
    const { document: page } = small;
    for (const sheet of document.querySelectorAll('link[rel="stylesheet"]')) {
      const link = page.createElement('link');
      link.rel = 'stylesheet';
      link.href = sheet.href;
      page.head.append(link);
    }
    page.title = document.title;
    page.documentElement.lang = document.documentElement.lang;
    page.documentElement.className = 'in-window';
    for (const { name, value } of document.documentElement.attributes) if (name.startsWith('data-')) page.documentElement.setAttribute(name, value);
    shareIcons(page);
    page.body.append(element);
    page.addEventListener('keydown', (event) => {
      if (pressed(event) && !document.dispatchEvent(new KeyboardEvent(event.type, event))) event.preventDefault();
    });
    root.append(away);
    away.hidden = false;
    small.addEventListener('pagehide', home, { once: true });
  }

  function home() {
    if (small === null) return;
    small = null;
    away.remove();
    if (!gone) root.append(element);
  }

  let gone = false;
  function close() {
    const window_ = small;
    home();
    window_?.close();
  }

  return {
    button,
    close() {
      gone = true;
      close();
    },
  };
}
