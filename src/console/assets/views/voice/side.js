// How a number stands: what customers see, what is missing, what WhatsApp has, links, health.

import { fill, h, icon } from '../../ui/dom.js';
import { when, words } from '../../ui/format.js';
import { facts, notice } from '../../ui/parts.js';
import { toast } from '../../ui/toast.js';
import { settingsWords } from './draft.js';

/** What a customer finds: the profile as the draft would have it, and whether calls ring at this moment. */
export function drawNow(element, number, saved, draft) {
  const open = saved.open_now;
  const turnedAway = saved.prerequisites.some(({ met, needed_inbound: needed }) => !met && needed);
  const opens = turnedAway ? 'What is missing under Prerequisites turns calls away' : saved.opens_at ? `Opens ${when(saved.opens_at)}` : saved.allow_voice_calls ? 'No hour brings it back by itself' : 'Voice calls are off';
  const shown = (settings) => settings.allow_voice_calls && settings.display_call_buttons;
  const buttons = shown(draft);
  const changes = buttons !== shown(saved);
  element.dataset.open = String(open);
  fill(element, h('div', { class: 'card-head' }, h('h2', null, 'What customers see'), changes && h('span', { class: 'chip', testid: 'now-draft', data: { tone: 'info' } }, 'Once saved')), h('div', { class: 'card-pad stack-gap' },
    h('div', { class: 'phone-view', testid: 'phone-view', ariaLabel: 'Your profile in WhatsApp', role: 'group' },
      h('div', { class: 'phone-name' }, h('strong', { class: 'num' }, number.display_phone_number), h('span', { class: 'dim small' }, 'Business account')),
      buttons
        ? h('span', { class: 'phone-call', data: { open: String(open) } }, icon('phone', 'icon-s'), 'Voice call')
        : h('span', { class: 'dim small' }, 'No call button')),
    h('div', { class: 'now', role: 'status' }, h('span', { class: 'lamp', data: { tone: open ? 'go' : 'stop' } }),
      h('div', null, h('strong', { testid: 'now-state' }, open ? 'Open: calls ring' : 'Business unavailable'), h('p', { class: 'dim small', testid: 'now-next' }, open ? 'Callers reach an agent who is online.' : `${opens}.`))),
    saved.restrictions.map(restriction)));
}

export function drawPrerequisites(saved) {
  const { prerequisites } = saved;
  const missing = prerequisites.filter(({ met }) => !met).length;
  return card('Prerequisites', { testid: 'prerequisites', note: missing === 0 ? 'All met' : `${missing} not met` },
    h('ul', { class: 'blockers' }, prerequisites.map(({ code, met, message, outbound_only: outbound }) => h('li', { data: { code, met: String(met), ...(met && { good: '' }) } }, icon(met ? 'check' : 'warn', 'icon-s'),
      h('span', null, h('span', { class: 'visually-hidden' }, met ? 'Met: ' : 'Not met: '), message, !met && outbound && h('span', { class: 'dim' }, ' Customers can call all the same.'))))));
}

export function drawSync(saved, again) {
  const { drift, sync } = saved;
  const [tone, said] = { synced: ['go', 'WhatsApp has these settings'], pending: ['warn', 'WhatsApp is being told'], failed: ['stop', 'WhatsApp could not be told'] }[sync.state];
  const shown = drift.length > 0 ? ['warn', 'WhatsApp has something else'] : [tone, said];
  return card('WhatsApp', { testid: 'sync-card', data: { state: drift.length > 0 ? 'drift' : sync.state } },
    h('div', { class: 'now' }, h('span', { class: 'lamp', data: { tone: shown[0] } }), h('div', null, h('strong', null, shown[1]),
      h('p', { class: 'dim small' }, sync.pushed_at && `Told ${when(sync.pushed_at)}. `, 'WhatsApp’s apps may show changes up to 7 days later; calls follow them at once.'))),
    sync.error && notice(sync.state === 'failed' ? 'stop' : 'warn', 'warn', sync.error),
    drift.length > 0 && h('dl', { class: 'drift' }, drift.map(({ field, ours, theirs }) => [h('dt', null, settingsWords.name(field)),
      h('dd', null, h('span', null, 'Here: ', settingsWords.value(field, ours)), h('span', null, 'At WhatsApp: ', settingsWords.value(field, theirs)))])),
    (drift.length > 0 || sync.state === 'failed') && h('div', null, h('button', { type: 'button', class: 'btn btn-s', testid: 'tell-again', onclick: again }, 'Tell WhatsApp again')));
}

export function drawLinks(number, saved, qr) {
  const link = saved.deep_links.find(({ kind }) => kind === 'call').url;
  const picture = h('div', { class: 'qr', role: 'img', ariaLabel: `QR code of ${link}` });
  const save = h('a', { class: 'btn btn-s', hidden: true, download: `call-${number.display_phone_number.replace(/\D/g, '')}.svg` }, icon('download', 'icon-s'), 'QR code');
  qr.then((svg) => {
    const address = `data:image/svg+xml,${encodeURIComponent(svg)}`;
    fill(picture, h('img', { src: address, alt: '', testid: 'qr' }));
    save.setAttribute('href', address);
    save.hidden = false;
  }, () => fill(picture, h('span', { class: 'dim small' }, 'The QR code could not be drawn.')));
  async function copy() {
    try {
      await navigator.clipboard.writeText(link);
      toast({ title: 'Link copied', text: link, tone: 'go' });
    } catch {
      toast({ title: 'Not copied', text: 'The browser does not allow it here: select the link and copy it.', tone: 'warn' });
    }
  }
  return card('Call link', { testid: 'link-card' },
    h('p', { class: 'dim small' }, 'Opens WhatsApp and calls this number. For your site, mails and shop door.'),
    h('div', { class: 'link-row' }, picture, h('div', { class: 'stack-gap' }, h('code', { class: 'mono link-text', testid: 'deep-link' }, link),
      h('div', { class: 'row' }, h('button', { type: 'button', class: 'btn btn-s', testid: 'copy-link', onclick: copy }, icon('copy', 'icon-s'), 'Copy'), save))));
}

const STAGES = {
  fine: ['go', 'Enough calls are answered'],
  notice: ['warn', 'More calls than usual are missed'],
  warning: ['warn', 'Many calls are missed'],
  critical: ['stop', 'So many calls are missed that WhatsApp may restrict the number'],
  held: ['stop', 'Outbound calls are held back: too many are not taken'],
};

/** `title` and `aside` of the card: what it is called, and what stands beside that. */
export function drawHealth(element, health, [title, aside] = ['Health', null]) {
  const { stage, pickup, calls_min: least } = health;
  const tooFew = stage === 'fine' && Math.max(pickup.inbound.calls, pickup.outbound.calls) < least;
  const [tone, said] = tooFew ? ['', `Too few calls to tell: WhatsApp’s risk is judged from ${least} on`] : STAGES[stage] ?? ['stop', words.plain(stage)];
  const rate = ({ calls, pickup_ratio: ratio }) => (ratio === null ? 'No calls' : `${Math.round(ratio * 100)} % of ${calls}`);
  fill(element, h('div', { class: 'card-head' }, h('h2', null, title), h('span', { class: 'dim small' }, [aside, `Last ${Math.round(health.window_h / 24)} days`].filter(Boolean).join(' · '))), h('div', { class: 'card-pad stack-gap' },
    h('div', { class: 'now' }, h('span', { class: 'lamp', data: { tone } }), h('div', null, h('strong', null, said), health.stage_since && h('p', { class: 'dim small' }, `Since ${when(health.stage_since)}`))),
    facts([['Answered', rate(pickup.inbound)], ['Customers reached', rate(pickup.outbound)]]),
    health.hold && notice('warn', 'warn', health.hold.message, health.hold.clears_at && ` Until ${when(health.hold.clears_at)}.`),
    health.warnings.map((text) => notice('warn', 'warn', text)),
    health.violations.map(({ kind, at, remediation }) => notice('warn', 'warn', h('strong', null, `WhatsApp warned ${when(at)}: `), words.violation(kind), remediation && `. ${remediation}`)),
    health.restrictions.map(restriction)));
}

function restriction({ kind, expires_at: until, remediation }) {
  return notice('stop', 'warn', h('strong', null, 'Restricted by WhatsApp: '), words.restriction(kind), until ? `, until ${when(until)}` : '', remediation && `. ${remediation}`);
}

function card(title, { testid, note, data }, ...children) {
  return h('section', { class: 'card', testid, data: data ?? {} }, h('div', { class: 'card-head' }, h('h2', null, title), note && h('span', { class: 'dim small' }, note)), h('div', { class: 'card-pad stack-gap' }, children));
}
