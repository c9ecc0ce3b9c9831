// What is known of a call besides who it is: where the customer is and how late it is there, what brought them, what it has
// cost so far, what it was put among.

import { api } from '../api.js';
import { bdi, fill, h, icon } from './dom.js';
import { flag } from './flag.js';
import { countryName, localTime, money } from './format.js';

/** Outbound calls are counted in six seconds; a look in between is no use. */
const COST_EVERY_MS = 6_000;

/** Follows a call while it is in sight; answers `{ element, update(call), close() }`. */
export function callFacts(first) {
  const element = h('ul', { class: 'call-facts', testid: 'call-facts', ariaLabel: 'About this call', hidden: true });
  let country = null;
  let cost = null;
  let call = first;
  let drawn = '';
  let closed = false;

  api.get(`/v1/contacts/${encodeURIComponent(first.contact.id)}`).then((contact) => {
    country = contact.country;
    if (!closed) draw();
  }, () => { /* a courtesy */ });

  async function look() {
    try {
      cost = (await api.get(`/v1/calls/${encodeURIComponent(call.id)}`)).cost_so_far;
      if (!closed) draw();
    } catch { /* the next look */ }
  }
  // A customer's own call costs nothing.
  const timer = first.direction === 'business_initiated' ? setInterval(() => { if (call.answered_at) void look(); }, COST_EVERY_MS) : null;

  function draw() {
    const asked = call.cta_payload || call.deeplink_payload;
    const items = [
      country && ['call-place', null, [flag(country), ` ${countryName(country)}${localTime(country)}`]],
      asked && ['call-asked', 'link', [call.cta_payload ? 'Pressed the call button: ' : 'Followed a call link: ', bdi(asked)]],
      cost && ['call-cost', 'wallet', `${money(cost.micros, cost.currency)} so far`],
      ...(call.tags ?? []).map((tag) => ['call-tag', null, bdi(tag)]),
    ].filter(Boolean);
    const key = JSON.stringify([country && localTime(country), asked, cost, call.tags]);
    if (key === drawn) return;
    drawn = key;
    element.hidden = items.length === 0;
    fill(element, items.map(([testid, name, text]) => h('li', { testid, class: testid }, name && icon(name, 'icon-s'), h('span', null, text))));
  }

  return {
    element,
    update(now) {
      if (!call.answered_at && now.answered_at && timer !== null) void look();
      call = now;
      draw();
    },
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
}
