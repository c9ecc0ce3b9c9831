// Elements without markup. Text from outside becomes a text node, always: nothing in the console
// parses HTML, so a customer named "<img onerror=…>" is just a customer with an odd name.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * `h('button', { class: 'btn', testid: 'x', onclick: fn, ariaLabel: '…' }, children…)`.
 * Strings become text; null, undefined and false are left out.
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) setProperty(element, name, value);
  append(element, children);
  return element;
}

/** Replaces all children. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Sets text only when it differs, so that screen readers are not told the same thing every second. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function icon(name, size = '') {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `icon ${size}`.trim());
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A name as it was given: its own writing direction, no influence on its neighbours. */
export function bdi(text, properties) {
  return h('bdi', properties, text);
}

/** States of ARIA say "false" where they are not; without the attribute it would be no toggle at all. */
const STATES = new Set(['ariaPressed', 'ariaExpanded', 'ariaChecked', 'ariaSelected', 'ariaBusy']);

function setProperty(element, name, value) {
  if (value === false && STATES.has(name)) value = 'false';
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name === 'testid') element.dataset.testid = value;
  else if (name === 'data') Object.assign(element.dataset, value);
  else if (name.startsWith('aria') && name.length > 4) element.setAttribute(`aria-${name.slice(4).toLowerCase()}`, String(value));
  else element.setAttribute(name === 'class' ? 'class' : name, value === true ? '' : String(value));
}

function append(element, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}
