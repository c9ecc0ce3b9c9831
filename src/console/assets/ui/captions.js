// Live captions: the last words of both sides, above the call bar.

import { followWords } from '../captions.js';
import { fill, h } from './dom.js';

/** Stretches of speech in sight; the whole text is on the customer's page. */
const LINES = 3;

/** Follows the call's words while it is in sight; answers `{ element, show(wish), close() }`. */
export function captions(callId) {
  const lines = h('ol', { class: 'caption-lines' });
  const element = h('div', {
    class: 'captions', testid: 'captions', role: 'log', ariaLive: 'off', ariaLabel: 'Live captions', tabindex: 0, hidden: true,
  }, lines);
  let unfollow = null;

  const draw = (segments) => {
    fill(lines, segments.length === 0
      ? h('li', { class: 'caption-wait' }, 'Listening… Words appear here while they are spoken.')
      : segments.slice(-LINES).map(captionLine));
    element.scrollTop = element.scrollHeight;
  };

  return {
    element,
    show(wish) {
      if (wish === !element.hidden) return;
      element.hidden = !wish;
      unfollow?.();
      unfollow = null;
      if (!wish) return;
      draw([]);
      unfollow = followWords(callId, draw);
    },
    close: () => unfollow?.(),
  };
}

/** Who, and what; what may still change is set apart. */
export function captionLine({ speaker, text, final, stable_chars: stable }) {
  const chars = [...text];
  const sure = final ? chars.length : stable;
  return h('li', { data: { speaker } },
    h('strong', null, speaker === 'agent' ? 'Agent' : 'Customer'),
    h('span', null, chars.slice(0, sure).join(''), sure < chars.length && h('span', { class: 'caption-growing' }, chars.slice(sure).join(''))));
}
