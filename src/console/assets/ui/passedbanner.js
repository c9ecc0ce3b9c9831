// Online and yet no calls: said on every page, loudly, with what mends it. What was passed on while nobody looked is said
// when somebody looks again.

import { on } from '../bus.js';
import { light, look, readinessView, MENDS } from '../readiness.js';
import { state } from '../state.js';
import { tellOutside } from '../notify.js';
import { fill, h, icon } from './dom.js';
import { clockTime } from './format.js';

/** `{ element, close }`. */
export function passedBanner() {
  const element = h('div', { class: 'banner', role: 'alert', testid: 'passed-banner', hidden: true });
  /** When a call was passed on unseen, until the agent has read it. */
  let unseen = null;
  let said = '';

  function update() {
    const words = what();
    const key = words?.text ?? '';
    if (key === said) return;
    said = key;
    element.hidden = words === null;
    element.dataset.tone = words?.tone ?? '';
    fill(element, words && [icon('warn'), h('span', null, words.text), words.act && h('button', { type: 'button', class: 'btn btn-s', testid: 'passed-mend', onclick: words.act[1] }, words.act[0])]);
    if (words?.tone === 'stop' && document.visibilityState !== 'visible') void tellOutside('Calls do not reach you', words.text);
  }

  function what() {
    if (state.agent?.status !== 'online' || state.link === 'down') return null;
    const failed = Object.values(readinessView().checks).find(({ result }) => result === 'failed');
    const passed = state.agent.passed_over;
    if (failed) return { tone: 'stop', text: `${passed ? 'Calls go to others until this is mended' : 'You are online but not ready'}: ${failed.text}`, act: MENDS[failed.mend] };
    if (passed?.cause === 'not_shown') return { tone: 'stop', text: 'Calls go to others because this console did not show one.', act: ['Take calls again', () => look({ ask: true })] };
    if (passed) return { tone: 'stop', text: light().text, act: MENDS.again };
    if (unseen) return { tone: 'warn', text: `A call was passed on at ${clockTime(unseen)} because this console did not show it. Keep this window open and the computer awake.`, act: ['Understood', () => { unseen = null; update(); }] };
    return null;
  }

  const offs = [
    on('passed', (passed) => {
      if (passed?.cause === 'not_shown') unseen = Date.parse(passed.since);
      update();
    }),
    ...['agent', 'ready', 'link', 'resync'].map((topic) => on(topic, update)),
  ];
  update();
  return { element, close: () => offs.forEach((off) => off()) };
}
