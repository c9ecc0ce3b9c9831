// Asks before something that is not easily undone, and says what will happen.

import { openDialog } from './dialog.js';
import { fill, h } from './dom.js';
import { notice } from './parts.js';

/** `act()` does it; when it rejects, the sentence is shown and the dialog stays. `more` stands under the text. */
export function confirm({ title, text, more = null, yes, act }) {
  openDialog({
    title,
    testid: 'confirm',
    build({ close }) {
      const trouble = h('div', { ariaLive: 'assertive' });
      const sure = h('button', { type: 'button', class: 'btn btn-stop', testid: 'confirm-yes', onclick: go }, yes);
      async function go() {
        sure.disabled = true;
        try {
          await act();
          close();
        } catch (error) {
          fill(trouble, notice('stop', 'warn', error.message));
          sure.disabled = false;
        }
      }
      return {
        body: h('div', { class: 'stack-gap' }, text.map((line) => h('p', null, line)), more, trouble),
        foot: [h('button', { type: 'button', class: 'btn', testid: 'confirm-no', onclick: close }, 'Cancel'), sure],
      };
    },
  });
}
