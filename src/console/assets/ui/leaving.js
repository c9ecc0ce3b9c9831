// What is not saved would be lost: whoever leaves is asked.

import { h } from './dom.js';
import { openDialog } from './dialog.js';

/** Answers 'stay', 'discard' or 'save', in its time. */
export function askLeaving(what) {
  return new Promise((resolve) => {
    let answer = 'stay';
    openDialog({
      title: 'Leave without saving?',
      testid: 'leaving',
      onClose: () => resolve(answer),
      build: ({ close }) => {
        const choice = (word, label, kind = '') => h('button', { type: 'button', class: `btn ${kind}`.trim(), testid: `leaving-${word}`, onclick: () => {
          answer = word;
          close();
        } }, label);
        return {
          body: h('p', null, `${what} are not saved yet.`),
          foot: [choice('discard', 'Discard them'), choice('stay', 'Stay'), choice('save', 'Save and leave', 'btn-primary')],
        };
      },
    });
  });
}
