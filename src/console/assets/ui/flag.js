// A country's flag, as the system's font has it; where it has none, the country's letters in a small frame.

import { h } from './dom.js';

let drawn = null;

/** An element beside which the country's name stands. */
export function flag(code) {
  drawn ??= drawsFlags();
  const text = drawn ? letters(code) : code;
  return h('span', { class: drawn ? 'flag' : 'flag flag-letters', ariaHidden: 'true' }, text);
}

function letters(code) {
  return [...code].map((letter) => String.fromCodePoint(0x1f1e6 + letter.codePointAt(0) - 65)).join('');
}

/** Two letters become one sign only where there are flags, and coloured only there. */
function drawsFlags() {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 24;
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  if (!pen) return false;
  pen.font = '18px sans-serif';
  pen.fillText(letters('GE'), 0, 18);
  const { data } = pen.getImageData(0, 0, 24, 24);
  return data.some((value, i) => i % 4 === 0 && data[i + 3] > 0 && value > 40 && data[i + 1] < value / 2);
}
