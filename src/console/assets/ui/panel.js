// The call bar: there as long as the agent has a call, whatever page is open; then, for as long as
// wanted, what is to be written down after it.

import { api } from '../api.js';
import { on } from '../bus.js';
import { msSince } from '../clock.js';
import { bringAudioHere, command, mute, pauseRecording, wrappedUp } from '../line.js';
import { mic } from '../mic.js';
import { levels, phoneView } from '../phone.js';
import { prefs, setPref } from '../prefs.js';
import { lineWords } from '../quality.js';
import { soundTrouble } from '../soundwatch.js';
import { isDialling, myCall, numberOf, state } from '../state.js';
import { isLeader } from '../tabs.js';
import { startAlongside } from './alongside.js';
import { callFacts } from './callfacts.js';
import { callTray } from './calltray.js';
import { captions } from './captions.js';
import { bdi, fill, h, icon, setText } from './dom.js';
import { draft, forgetDraft } from './draft.js';
import { alarmWords, contactName, contactNumber, duration } from './format.js';
import { keypad } from './keypad.js';
import { KEYS, pressed } from './keys.js';
import { avatar, meter } from './parts.js';
import { canPopOut, popOut } from './popout.js';
import { toastError } from './toast.js';
import { wrapUp } from './wrapup.js';

/** Talking into a muted microphone: loud for this many frames of the meter. */
const TALKING_LEVEL = 0.55;
const TALKING_FRAMES = 40;
/** The customer's side of the line is measured by the gateway. */
const FAR_QUALITY_EVERY_MS = 5_000;

let panel = null;
let after = null;
let closers = [];

/** Keeps `root` filled while there is a call, or one to be wrapped up. */
export function startPanel(root) {
  const refresh = () => {
    const call = myCall();
    if (panel && panel.callId !== call?.id) close();
    if (call && !panel) {
      leaveWrapUp((open_) => open_.closeSaving());
      panel = open(root, call);
    }
    panel?.update();
  };
  const wrap = (call) => {
    if (!call.answered_at || myCall()) return;
    leaveWrapUp((open_) => open_.closeSaving());
    after = wrapUp(call, () => {
      wrappedUp(call.id);
      leaveWrapUp();
    });
    root.append(after.element);
  };
  const timer = setInterval(refresh, 250);
  closers = [
    on('call', refresh), on('phone', refresh), on('over', wrap),
    on('wrapped', (callId) => {
      forgetDraft(callId);
      if (after?.callId === callId) leaveWrapUp();
    }),
    on('alarm', (alarm) => panel?.alarm(alarm)),
    on('dtmf', (key) => panel?.heard(key)),
    () => clearInterval(timer), startAlongside(root),
  ];
  refresh();
  void wrapAgain(wrap);
}

/** A reload came in the middle of the writing. */
async function wrapAgain(wrap) {
  const { callId } = draft() ?? {};
  if (!callId) return;
  const me = state.agent.id;
  try {
    const call = await api.get(`/v1/calls/${encodeURIComponent(callId)}`);
    if (state.agent?.id === me && call.state === 'ended' && call.agent_id === me && after?.callId !== callId) wrap(call);
  } catch { /* it is there again after the next reload */ }
}

export function stopPanel() {
  closers.forEach((end) => end());
  leaveWrapUp();
  close();
}

function close() {
  panel?.close();
  panel = null;
}

function leaveWrapUp(how = (open_) => open_.close()) {
  if (after === null) return;
  keepFocus(after.element);
  how(after);
  after = null;
}

function open(root, first) {
  const callId = first.id;
  let phaseSince = performance.now();
  let lastPhase = first.state;
  const call = () => state.calls.get(callId);
  /** Alarms that stand, as `kind leg`. */
  const alarms = new Map();
  let farQuality = null;
  let busy = false;
  let loudFrames = 0;

  const run = (act, failure) => async () => {
    if (busy) return;
    busy = true;
    update();
    try {
      await act();
    } catch (error) {
      toastError(failure, error);
    } finally {
      busy = false;
      update();
    }
  };

  const time = h('strong', { testid: 'call-duration', class: 'num' });
  const phase = h('span', { role: 'status' });
  const mutedWords = h('span', { class: 'visually-hidden', role: 'status' });
  const tape = h('div', { class: 'call-tape', testid: 'recording-light', role: 'status' });
  const near = meter('Your voice');
  const far = meter('Customer’s voice');
  const lamp = h('span', { class: 'lamp' });
  const quality = h('span', { testid: 'call-quality' });
  const sound = h('div', { class: 'call-sound' },
    h('span', null, 'Customer'), far.element, h('span', null, 'You'), near.element,
    h('div', { class: 'call-quality' }, lamp, quality));
  const muteKey = key('call-mute', 'mic', 'Mute', () => mute(!phoneView().muted), { shortcut: KEYS.mute });
  const holdKey = key('call-hold', 'pause', 'Hold', run(() => command(callId, call().state === 'held' ? 'resume' : 'hold'), 'Hold did not work'), { shortcut: KEYS.hold });
  const pad = keypad(callId, (isOpen, byKey) => {
    padKey.set({ expanded: isOpen });
    if (isOpen) tray.show(false);
    if (byKey) padKey.element.focus();
  });
  const padKey = key('call-keypad', 'keypad', 'Keypad', () => pad.show(!pad.isOpen()));
  const words = captions(callId);
  const wordsKey = key('call-captions', 'captions', 'Captions', () => {
    setPref('captions', !prefs.captions);
    update();
  });
  const facts = callFacts(first);
  const tray = callTray(first, (isOpen, byKey) => {
    trayKey.set({ expanded: isOpen });
    if (isOpen) pad.show(false);
    if (byKey) trayKey.element.focus();
  });
  const trayKey = key('call-notes', 'notes', 'Notes', () => tray.show(!tray.isOpen()));
  const tapeKey = key('call-recording', 'tape', 'Pause rec.', run(() => pauseRecording(callId, call().recording.state === 'recording'), 'The recording goes on as it was'));
  const endKey = key('call-hangup', 'hangup', 'Hang up', run(() => command(callId, 'hangup'), 'The call was not hung up'), { extra: 'key-stop' });
  const alarmBox = h('div', { class: 'call-alarm', testid: 'call-alarm', role: 'alert', hidden: true });
  const who = h('div', { class: 'call-who' });

  const element = h('section', { class: 'call-panel', testid: 'call-panel', ariaLabel: 'Call', data: { callId } },
    alarmBox,
    words.element,
    facts.element,
    h('div', { class: 'call-bar' }, who,
      h('div', { class: 'call-time' }, time, phase, mutedWords, tape),
      sound,
      h('div', { class: 'call-keys' }, muteKey.element, holdKey.element, padKey.element, wordsKey.element, trayKey.element, tapeKey.element, endKey.element)),
    pad.element, tray.element);
  root.append(element);
  const window_ = canPopOut() ? popOut(element, root) : null;

  /** A button that is disabled takes no clicks from here either. */
  function onKey(event) {
    const button = { mute: muteKey, hold: holdKey }[pressed(event)];
    if (!button) return;
    event.preventDefault();
    button.element.click();
  }
  document.addEventListener('keydown', onKey);

  let frame = requestAnimationFrame(function draw() {
    frame = requestAnimationFrame(draw);
    const level = levels();
    near.set(level.mic);
    far.set(level.far);
    loudFrames = phoneView().muted && level.voice > TALKING_LEVEL ? loudFrames + 1 : Math.max(0, loudFrames - 1);
  });
  const farTimer = setInterval(async () => {
    if (!call()?.answered_at) return;
    try {
      const { legs } = await api.get(`/v1/calls/${callId}/quality`);
      farQuality = legs.find(({ kind }) => kind === 'whatsapp')?.quality ?? null;
    } catch { /* figures are a courtesy */ }
  }, FAR_QUALITY_EVERY_MS);

  function update() {
    const now = call();
    const view = phoneView();
    const here = view.callId === callId;
    const dialling = isDialling(now);
    if (now.state !== lastPhase) {
      lastPhase = now.state;
      phaseSince = performance.now();
    }
    const cutOff = here && state.link === 'down' && (view.phase === 'lost' || view.phase === 'failed');
    element.dataset.phase = now.state;
    updateWho(now);
    setText(time, now.answered_at ? duration(msSince(now.answered_at)) : '–:––');
    setText(phase, phaseWords(now));
    updateTape(now, cutOff);
    muteKey.set({ pressed: view.muted, label: view.muted ? 'Unmute' : 'Mute', icon: view.muted ? 'mic-off' : 'mic', disabled: !here || dialling });
    if (view.muted || mutedWords.textContent) setText(mutedWords, view.muted ? 'Muted' : 'No longer muted');
    const held = now.state === 'held';
    holdKey.set({ pressed: held, label: held ? 'Resume' : 'Hold', icon: held ? 'play' : 'pause', disabled: busy || dialling || now.state === 'answering' });
    padKey.set({ disabled: dialling });
    endKey.set({ label: dialling ? 'Cancel' : 'Hang up', disabled: busy });
    if (dialling) pad.show(false);
    const live = now.transcript?.state === 'live';
    wordsKey.element.hidden = !live;
    wordsKey.set({ pressed: prefs.captions });
    words.show(live && prefs.captions);
    facts.update(now);
    tray.update(now);
    updateQuality(view, here);
    updateAlarm(now, view, here, cutOff);
  }

  let whoKey = '';
  function updateWho({ contact, direction, number_id: numberId }) {
    const fresh = JSON.stringify([contact, numberOf(numberId)]);
    if (fresh === whoKey) return;
    whoKey = fresh;
    const way = direction === 'business_initiated' ? 'from' : 'to';
    fill(who, avatar(contact), h('div', null,
      h('a', { class: 'call-name', href: `/contacts/${encodeURIComponent(contact.id)}`, title: 'Open the customer’s page' }, bdi(contactName(contact))),
      h('div', { class: 'call-sub num' }, bdi(contactNumber(contact)), numberOf(numberId) && h('span', { class: 'call-where' }, ` · ${way} ${numberOf(numberId)}`))), window_?.button);
  }

  let tapeShown = null;
  function updateTape({ recording, answered_at: answeredAt }, cutOff) {
    const [tone, text] = cutOff ? ['warn', 'Not known whether it is recorded'] : tapeWords(recording, answeredAt);
    const open_ = recording?.state === 'recording' || recording?.state === 'paused';
    const paused = recording?.state === 'paused';
    tapeKey.element.hidden = !open_;
    tapeKey.set({ pressed: paused, label: paused ? 'Resume rec.' : 'Pause rec.', disabled: busy });
    if (tapeShown === text) return;
    tapeShown = text;
    tape.hidden = text === null;
    fill(tape, text && [h('span', { class: 'lamp', data: { tone } }), h('span', null, text)]);
  }

  function updateQuality(view, here) {
    const { tone, text, title } = qualityWords(view, here);
    lamp.dataset.tone = tone;
    setText(quality, text);
    quality.title = title ?? '';
  }

  function qualityWords(view, here) {
    if (!here) return { tone: '', text: 'No sound here' };
    if (view.phase === 'connecting') return { tone: 'warn', text: 'Audio is being set up' };
    if (view.phase === 'lost') return { tone: 'warn', text: 'Audio is being repaired' };
    if (view.phase === 'failed') return { tone: 'stop', text: 'No audio' };
    // A line whose packets arrive is no excellent line while one side is not heard.
    if (alarms.size > 0) return { tone: 'stop', text: 'Sound is missing' };
    // While it rings or is held, silence from the far end is as it should be.
    const near_ = view.quality?.emptyIn > 0 && call().state !== 'active' ? null : view.quality;
    const line = lineWords(near_, farQuality);
    return line.tone === 'go' && !isLeader() ? { tone: 'go', text: 'Sound plays in another tab', title: line.text } : line;
  }

  let alarmKey = null;
  function updateAlarm(now, view, here, cutOff) {
    const trouble = soundTrouble({
      call: now, view, here, cutOff, waitedMs: performance.now() - phaseSince, alarms: [...alarms.values()],
      talksMuted: loudFrames > TALKING_FRAMES,
      micProblem: mic.silenced() ? 'The customer cannot hear you: your microphone is switched off at the headset or in the system. Switch it on there.' : null,
    });
    const said = trouble && `${trouble.tone}${trouble.text}${trouble.action}`;
    if (alarmKey === said) return;
    alarmKey = said;
    alarmBox.hidden = trouble === null;
    alarmBox.dataset.tone = trouble?.tone ?? '';
    fill(alarmBox, trouble && [icon('warn'), h('span', null, trouble.text), actionButton(trouble.action)]);
  }

  function actionButton(action) {
    if (!action) return null;
    const [label, act] = {
      bring: ['Bring it here', () => bringAudioHere(callId)],
      reconnect: ['Reconnect sound', () => bringAudioHere(callId)],
      unmute: ['Unmute', () => mute(false)],
    }[action];
    return h('button', { type: 'button', class: 'btn btn-s', onclick: act }, label);
  }

  padKey.set({ expanded: false });
  trayKey.set({ expanded: false });
  void standingAlarms(callId, (alarm) => {
    // What was told live is newer than what is read.
    if (!alarms.has(`${alarm.kind} ${alarm.leg}`)) stand(alarm);
  });

  /** The newest stands last. */
  function stand({ kind, leg, on: stands }) {
    const legKind = leg === 'agent' || leg === 'whatsapp' ? leg : call().legs?.find((each) => each.id === leg)?.kind;
    alarms.delete(`${kind} ${leg}`);
    if (stands) alarms.set(`${kind} ${leg}`, alarmWords(kind, legKind));
    update();
  }

  return {
    callId,
    update,
    alarm(alarm) {
      if (alarm.callId === callId) stand(alarm);
    },
    heard({ callId: id, digit }) {
      if (id === callId) pad.heard(digit);
    },
    close() {
      document.removeEventListener('keydown', onKey);
      cancelAnimationFrame(frame);
      clearInterval(farTimer);
      window_?.close();
      pad.close();
      tray.close();
      facts.close();
      words.close();
      keepFocus(element);
      element.remove();
    },
  };
}

/** Alarms that stood before this page was opened, out of what happened in the call. */
async function standingAlarms(callId, tell) {
  const standing = new Map();
  try {
    const { items } = await api.get(`/v1/calls/${callId}/timeline`);
    for (const { type, data } of items) {
      if (type === 'call.media_alarm') standing.set(`${data.kind} ${data.leg}`, { kind: data.kind, leg: data.leg, on: true });
      if (type === 'call.media_recovered') standing.delete(`${data.kind} ${data.leg}`);
    }
  } catch { /* the next alarm is told by its event */ }
  for (const alarm of standing.values()) tell(alarm);
}

/** What vanishes must not take the focus with it. */
function keepFocus(element) {
  if (element?.contains(document.activeElement)) document.getElementById('view')?.focus({ preventScroll: true });
}

function phaseWords(call) {
  if (call.state === 'held') return 'On hold';
  if (call.state === 'active') return 'Duration';
  if (call.state === 'ringing') return 'Ringing…';
  return call.direction === 'business_initiated' ? 'Dialling…' : 'Connecting…';
}

/** The recording and consent light: `[tone, words]`. */
function tapeWords(recording, answeredAt) {
  const { state: at, consent } = recording ?? {};
  if (at === 'paused') return ['warn', 'Recording paused'];
  if (at === 'recording') return ['stop', 'Recording'];
  if (consent?.state === 'opted_out') return ['', 'Not recorded: the customer declined'];
  if (consent?.state === 'announcing') return ['warn', 'Recording is being announced'];
  if (at === 'failed') return ['warn', 'Recording failed'];
  return answeredAt ? ['', 'Not recorded'] : ['', null];
}

function key(testid, name, label, onclick, { extra = '', shortcut } = {}) {
  const text = h('span', null, label);
  const face = h('span', null, icon(name));
  const element = h('button', { type: 'button', class: `key ${extra}`.trim(), testid, onclick, title: shortcut?.keys, ariaKeyShortcuts: shortcut?.keys }, face, text);
  let shown = name;
  return {
    element,
    set({ pressed, expanded, label: wanted, icon: wantedIcon, disabled }) {
      // A label that changes says it already: “Unmute, pressed” would be wrong twice.
      if (pressed !== undefined) element.setAttribute(wanted === undefined ? 'aria-pressed' : 'data-pressed', String(pressed));
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
