// Both voices over time: the customer above, the agent below. A slider, too: click, drag or arrow keys.

import { h } from './dom.js';
import { duration } from './format.js';

const STEP_S = 5;

/** `onSeek(seconds)`. Answers `{ element, load(peaks, seconds), at(seconds), close }`. */
export function waveform(onSeek) {
  const canvas = h('canvas');
  const element = h('div', {
    class: 'wave', role: 'slider', tabindex: 0, ariaLabel: 'Position in the recording', ariaValueMin: 0, ariaValueMax: 0, ariaValueNow: 0, testid: 'waveform',
  }, canvas, h('span', { class: 'wave-label' }, 'Customer'), h('span', { class: 'wave-label' }, 'Agent'));
  let peaks = null;
  let length = 0;
  let position = 0;

  const draw = () => {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !peaks) return;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext('2d');
    pen.scale(scale, scale);
    const style = getComputedStyle(element);
    const colour = (name) => resolveColour(element, style.getPropertyValue(name));
    const done = length > 0 ? (position / length) * width : 0;
    const lane = height / 2;
    const colours = [colour('--wave-customer'), colour('--wave-agent')];
    peaks.forEach((channel, index) => {
      const middle = lane * index + lane / 2;
      pen.fillStyle = colours[index];
      for (let x = 0; x < width; x += 3) {
        const peak = highest(channel, x / width, (x + 3) / width);
        // A square root keeps quiet speech visible.
        const reach = Math.max(0.75, Math.sqrt(peak) * (lane / 2 - 6));
        pen.globalAlpha = x < done ? 1 : 0.42;
        pen.fillRect(x, middle - reach, 2, reach * 2);
      }
    });
    pen.globalAlpha = 1;
    pen.fillStyle = colour('--line');
    pen.fillRect(0, lane - 0.5, width, 1);
    pen.fillStyle = colour('--ink');
    pen.fillRect(Math.min(width - 2, done), 0, 2, height);
  };

  const seek = (seconds) => onSeek(Math.min(length, Math.max(0, seconds)));
  const pointed = (event) => {
    const box = element.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * length);
  };
  element.addEventListener('pointerdown', (event) => {
    element.setPointerCapture(event.pointerId);
    pointed(event);
  });
  element.addEventListener('pointermove', (event) => {
    if (element.hasPointerCapture(event.pointerId)) pointed(event);
  });
  element.addEventListener('keydown', (event) => {
    const wanted = { ArrowLeft: position - STEP_S, ArrowRight: position + STEP_S, Home: 0, End: length }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    seek(wanted);
  });
  const resized = new ResizeObserver(draw);
  resized.observe(element);
  addEventListener('tandem:theme', draw);
  const system = matchMedia('(prefers-color-scheme: dark)');
  system.addEventListener('change', draw);

  return {
    element,
    load(read, seconds) {
      peaks = read;
      length = seconds;
      element.setAttribute('aria-valuemax', String(Math.round(length)));
      draw();
    },
    at(seconds) {
      position = seconds;
      element.setAttribute('aria-valuenow', String(Math.round(seconds)));
      element.setAttribute('aria-valuetext', `${duration(seconds * 1000)} of ${duration(length * 1000)}`);
      draw();
    },
    close() {
      resized.disconnect();
      removeEventListener('tandem:theme', draw);
      system.removeEventListener('change', draw);
    },
  };
}

function highest(channel, from, to) {
  const start = Math.floor(from * channel.length);
  const end = Math.max(start + 1, Math.floor(to * channel.length));
  let peak = 0;
  for (let i = start; i < end && i < channel.length; i += 1) if (channel[i] > peak) peak = channel[i];
  return peak;
}

/** A canvas does not know light-dark(): let an element work the colour out. */
function resolveColour(host, value) {
  const probe = h('i');
  probe.style.color = value;
  host.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
