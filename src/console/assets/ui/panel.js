// The call bar: there as long as the agent has a call, whatever page is open.

import { on } from '../bus.js';
import { msSince } from '../clock.js';
import { bringAudioHere, command, mute, sendDigit } from '../line.js';
import { levels, phoneView } from '../phone.js';
import { isDialling, myCall, numberOf, state } from '../state.js';
import { isLeader } from '../tabs.js';
import { bdi, fill, h, icon, setText } from './dom.js';
import { alarmWords, contactName, contactNumber, duration } from './format.js';
import { avatar, meter } from './parts.js';
import { toastError } from './toast.js';

/** Audio that is set up within this time needs no comment. */
const PATIENCE_MS = 1_200;
const KEYS = [...'123456789*0#'];
/** Talking into a muted microphone: loud for this many frames of the meter. */
const TALKING_LEVEL = 0.55;
const TALKING_FRAMES = 40;

let panel = null;
let closers = [];

/** Keeps `root` filled while there is a call. */
export function startPanel(root) {
  const refresh = () => {
    const call = myCall();
    if (panel && panel.callId !== call?.id) close();
    if (call && !panel) panel = open(root, call);
    panel?.update();
  };
  const timer = setInterval(refresh, 250);
  closers = [
    on('call', refresh), on('phone', refresh),
    on('alarm', (alarm) => panel?.alarm(alarm)),
    on('dtmf', (key) => panel?.heard(key)),
    () => clearInterval(timer),
  ];
  refresh();
}

export function stopPanel() {
  closers.forEach((end) => end());
  close();
}

function close() {
  panel?.close();
  panel = null;
}

function open(root, first) {
  const callId = first.id;
  const since = performance.now();
  const call = () => state.calls.get(callId);
  /** Alarms that stand, as `kind leg`. */
  const alarms = new Map();
  let busy = false;
  let typed = '';
  let loudFrames = 0;

  const run = (verb, failure) => async () => {
    if (busy) return;
    busy = true;
    update();
    try {
      await command(callId, verb());
    } catch (error) {
      toastError(failure, error);
    } finally {
      busy = false;
      update();
    }
  };

  const time = h('strong', { testid: 'call-duration', class: 'num' });
  const phase = h('span', { role: 'status' });
  const mic = meter('Your voice');
  const far = meter('Customer’s voice');
  const lamp = h('span', { class: 'lamp' });
  const quality = h('span', null);
  const sound = h('div', { class: 'call-sound' },
    h('span', null, 'Customer'), far.element, h('span', null, 'You'), mic.element,
    h('div', { class: 'call-quality' }, lamp, quality));
  const muteKey = key('call-mute', 'mic', 'Mute', () => mute(!phoneView().muted));
  const holdKey = key('call-hold', 'pause', 'Hold', run(() => (call().state === 'held' ? 'resume' : 'hold'), 'Hold did not work'));
  const padKey = key('call-keypad', 'keypad', 'Keypad', () => showPad(pad.hidden));
  const endKey = key('call-hangup', 'hangup', 'Hang up', run(() => 'hangup', 'The call was not hung up'), 'key-stop');
  const echo = h('div', { class: 'call-pad-echo', ariaLive: 'polite' });
  const pad = h('div', { class: 'call-pad', hidden: true, role: 'group', ariaLabel: 'Keypad' }, echo,
    h('div', { class: 'call-pad-keys' }, KEYS.map((digit) => h('button', { type: 'button', data: { digit }, ariaLabel: nameOf(digit), onclick: () => press(digit) }, digit))));
  const alarmBox = h('div', { class: 'call-alarm', role: 'alert', hidden: true });
  const who = h('div', { class: 'call-who' });

  const element = h('section', { class: 'call-panel', testid: 'call-panel', ariaLabel: 'Call', data: { callId } },
    alarmBox,
    h('div', { class: 'call-bar' }, who,
      h('div', { class: 'call-time' }, time, phase),
      sound,
      h('div', { class: 'call-keys' }, muteKey.element, holdKey.element, padKey.element, endKey.element)),
    pad);
  root.append(element);
  document.addEventListener('keydown', onKey);

  let frame = requestAnimationFrame(function draw() {
    frame = requestAnimationFrame(draw);
    const level = levels();
    mic.set(level.mic);
    far.set(level.far);
    loudFrames = phoneView().muted && level.voice > TALKING_LEVEL ? loudFrames + 1 : Math.max(0, loudFrames - 1);
  });

  function update() {
    const now = call();
    const view = phoneView();
    const here = view.callId === callId;
    const dialling = isDialling(now);
    element.dataset.phase = now.state;
    updateWho(now);
    setText(time, now.answered_at ? duration(msSince(now.answered_at)) : '–:––');
    setText(phase, phaseWords(now));
    muteKey.set({ pressed: view.muted, label: view.muted ? 'Unmute' : 'Mute', icon: view.muted ? 'mic-off' : 'mic', disabled: !here || dialling });
    const held = now.state === 'held';
    holdKey.set({ pressed: held, label: held ? 'Resume' : 'Hold', icon: held ? 'play' : 'pause', disabled: busy || dialling || now.state === 'answering' });
    padKey.set({ disabled: dialling });
    endKey.set({ label: dialling ? 'Cancel' : 'Hang up', disabled: busy });
    if (dialling && !pad.hidden) showPad(false);
    updateQuality(view, here);
    updateAlarm(now, view, here);
  }

  let whoKey = '';
  function updateWho({ contact, direction, number_id: numberId }) {
    const fresh = JSON.stringify([contact, numberOf(numberId)]);
    if (fresh === whoKey) return;
    whoKey = fresh;
    const way = direction === 'business_initiated' ? 'from' : 'to';
    fill(who, avatar(contact), h('div', null,
      h('a', { class: 'call-name', href: `/contacts/${encodeURIComponent(contact.id)}`, title: 'Open the customer’s page' }, bdi(contactName(contact))),
      h('div', { class: 'call-sub num' }, bdi(contactNumber(contact)), numberOf(numberId) && h('span', { class: 'call-where' }, ` · ${way} ${numberOf(numberId)}`))));
  }

  function updateQuality(view, here) {
    const [tone, text, title] = qualityWords(view, here);
    lamp.dataset.tone = tone;
    setText(quality, text);
    quality.title = title;
  }

  function qualityWords(view, here) {
    if (!here) return ['', 'No sound here', ''];
    if (!isLeader()) return ['go', 'Sound plays in another tab', ''];
    if (view.phase === 'connecting') return ['warn', 'Audio is being set up', ''];
    if (view.phase === 'lost') return ['warn', 'Audio is being repaired', ''];
    if (view.phase === 'failed') return ['stop', 'No audio', ''];
    if (!view.quality) return ['go', 'Connected', ''];
    const { word, detail, tone } = view.quality;
    // While it rings or is held, silence from the far end is as it should be.
    if (word === 'No sound arriving' && call().state !== 'active') return ['go', 'Connected', ''];
    return [tone, detail ? `${word} · ${detail}` : word, 'Round trip and loss between this browser and the gateway'];
  }

  let alarmKey = '';
  function updateAlarm(now, view, here) {
    const talking = ['active', 'held'].includes(now.state);
    const patient = performance.now() - since < PATIENCE_MS;
    let tone = 'stop';
    let text = null;
    let action = null;
    if (talking && !here && !patient) {
      text = 'This call’s sound is not in this browser.';
      tone = 'warn';
      action = ['Bring it here', () => bringAudioHere(callId)];
    } else if (here && view.trouble) {
      text = view.trouble;
      if (view.phase === 'failed') action = ['Reconnect sound', () => bringAudioHere(callId)];
    } else if (here && view.phase === 'lost') {
      text = 'Your audio connection broke. The customer hears hold sound while it is rebuilt…';
      tone = 'warn';
    } else if (talking && here && view.phase === 'connecting' && !patient) {
      text = 'Connecting the sound takes longer than usual…';
      tone = 'warn';
    } else if (alarms.size > 0) {
      text = [...alarms.values()].at(-1);
    } else if (loudFrames > TALKING_FRAMES) {
      text = 'You are muted: the customer does not hear you.';
      tone = 'warn';
    }
    if (alarmKey === `${tone}${text}`) return;
    alarmKey = `${tone}${text}`;
    alarmBox.hidden = text === null;
    alarmBox.dataset.tone = tone;
    fill(alarmBox, text && [icon('warn'), h('span', null, text), action && h('button', { type: 'button', class: 'btn btn-s', onclick: action[1] }, action[0])]);
  }

  function showPad(wish) {
    pad.hidden = !wish;
    padKey.set({ expanded: wish });
    if (!wish) {
      typed = '';
      setText(echo, '');
    }
  }

  function press(digit) {
    typed = (typed + digit).slice(-24);
    setText(echo, typed);
    sendDigit(callId, digit).catch((error) => toastError(`The key ${digit} was not sent`, error));
  }

  function onKey(event) {
    if (pad.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.('input, select, textarea, [contenteditable]')) return;
    if (event.key === 'Escape') {
      showPad(false);
      padKey.element.focus();
    } else if (KEYS.includes(event.key)) {
      press(event.key);
    }
  }

  padKey.set({ expanded: false });
  return {
    callId,
    update,
    alarm({ callId: id, kind, leg, on: stands }) {
      if (id !== callId) return;
      const legKind = leg === 'agent' || leg === 'whatsapp' ? leg : call().legs?.find((each) => each.id === leg)?.kind;
      if (stands) alarms.set(`${kind} ${leg}`, alarmWords(kind, legKind));
      else alarms.delete(`${kind} ${leg}`);
      update();
    },
    heard({ callId: id, digit }) {
      if (id !== callId) return;
      showPad(true);
      setText(echo, `Customer pressed ${digit}`);
    },
    close() {
      cancelAnimationFrame(frame);
      document.removeEventListener('keydown', onKey);
      if (element.contains(document.activeElement)) document.getElementById('view')?.focus({ preventScroll: true });
      element.remove();
    },
  };
}

function phaseWords(call) {
  if (call.state === 'held') return 'On hold';
  if (call.state === 'active') return 'Duration';
  if (call.state === 'ringing') return 'Ringing…';
  return call.direction === 'business_initiated' ? 'Dialling…' : 'Connecting…';
}

function key(testid, name, label, onclick, extra = '') {
  const text = h('span', null, label);
  const face = h('span', null, icon(name));
  const element = h('button', { type: 'button', class: `key ${extra}`.trim(), testid, onclick }, face, text);
  let shown = name;
  return {
    element,
    set({ pressed, expanded, label: wanted, icon: wantedIcon, disabled }) {
      if (pressed !== undefined) element.setAttribute('aria-pressed', String(pressed));
      if (expanded !== undefined) element.setAttribute('aria-expanded', String(expanded));
      if (wanted !== undefined) setText(text, wanted);
      if (wantedIcon !== undefined && wantedIcon !== shown) {
        shown = wantedIcon;
        fill(face, icon(shown));
      }
      if (disabled !== undefined) element.disabled = disabled;
    },
  };
}

function nameOf(digit) {
  return { '*': 'Star', '#': 'Hash' }[digit] ?? digit;
}
