// Devices: is everything ready, which microphone, which speaker, how loud does it ring.

import { unlockSound } from '../levels.js';
import { mic, micTrouble, microphones } from '../mic.js';
import { useSpeaker } from '../phone.js';
import { prefs, setPref } from '../prefs.js';
import { setTitle } from '../router.js';
import { testBell } from '../ring.js';
import { canChooseBell, useBellDevice } from '../ringout.js';
import { state } from '../state.js';
import { isLeader } from '../tabs.js';
import { CHECKS, look, readinessView } from '../readiness.js';
import { fill, h, icon } from '../ui/dom.js';
import { meter } from '../ui/parts.js';
import { toast, toastError } from '../ui/toast.js';

export function devicesView(root, scope) {
  setTitle('Devices');
  const readyList = h('ul', { class: 'ready-list' });
  const level = meter('Microphone level');
  const inputs = h('select', { class: 'select', id: 'device-input', onchange: () => chooseMicrophone(inputs.value) });
  const outputs = h('select', { class: 'select', id: 'device-output', onchange: () => chooseSpeaker(outputs.value) });
  const closed = h('div', { class: 'closed', testid: 'closed-card' });
  const bells = h('select', { class: 'select', id: 'device-bell', onchange: () => chooseBell(bells.value) });
  const themes = h('div', { class: 'seg', role: 'group', ariaLabelledBy: 'theme-label' });
  const meterOn = h('button', { type: 'button', class: 'btn btn-s', onclick: listen }, icon('mic', 'icon-s'), 'Test microphone');

  async function listen() {
    await unlockSound();
    if (!(await mic.hold('devices'))) toast({ title: 'No microphone', text: micTrouble() ?? 'The microphone could not be opened.', tone: 'stop' });
    await drawDevices();
  }
  scope.add(() => mic.release('devices'));

  async function chooseMicrophone(id) {
    setPref('microphone', id);
    await mic.reopen();
  }

  async function chooseSpeaker(id) {
    setPref('speaker', id);
    try {
      await useSpeaker(id);
    } catch (error) {
      toastError('The speaker was not changed', error);
    }
  }

  async function chooseBell(id) {
    setPref('ringDevice', id);
    try {
      await useBellDevice(id);
      await ringOnce();
    } catch (error) {
      toastError('The bell was not moved', error);
    }
  }

  const drawDevices = async () => {
    const found = await microphones();
    if (scope.gone) return;
    fillSelect(inputs, found.inputs, prefs.microphone, 'System’s choice');
    fillSelect(outputs, found.outputs, prefs.speaker, 'System’s choice');
    fillSelect(bells, found.outputs, prefs.ringDevice, 'Where the customer is heard');
  };
  const drawReady = () => {
    if (!state.agent) return;
    const { checks } = readinessView();
    const items = [
      ...Object.entries(CHECKS).map(([name, label]) => [{ passed: 'go', failed: 'stop', unknown: '' }[checks[name].result], `${label}: ${checks[name].text}`]),
      [state.link === 'live' ? 'go' : 'stop', state.link === 'live' ? 'Calls reach this console at once' : 'No connection to the gateway'],
      [isLeader() ? 'go' : '', isLeader() ? 'This tab rings and carries the sound' : 'Another tab rings and carries the sound'],
    ];
    fill(readyList, items.map(([tone, text]) => h('li', null, h('span', { class: 'lamp', data: { tone } }), h('span', null, text))));
  };
  const drawThemes = () => {
    const { CHOICES, read, choose } = globalThis.tandemTheme;
    const names = { auto: ['auto', 'System'], light: ['sun', 'Light'], dark: ['moon', 'Dark'] };
    fill(themes, CHOICES.map((choice) => h('button', { type: 'button', ariaPressed: choice === read(), onclick: () => choose(choice) }, icon(names[choice][0], 'icon-s'), names[choice][1])));
  };

  let frame = requestAnimationFrame(function draw() {
    frame = requestAnimationFrame(draw);
    level.set(mic.level());
  });
  scope.add(() => cancelAnimationFrame(frame));
  scope.on('readiness', () => {
    drawReady();
    void drawDevices();
  });
  for (const topic of ['agent', 'link', 'ready']) scope.on(topic, drawReady);
  addEventListener('tandem:theme', drawThemes);
  scope.add(() => removeEventListener('tandem:theme', drawThemes));

  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Devices')),
    h('div', { class: 'device-grid' },
      card('Ready for calls?', readyList, h('div', null, h('button', { type: 'button', class: 'btn btn-s', onclick: () => look({ ask: true }) }, 'Check again'))),
      card('While the console is closed', closed),
      card('Microphone',
        h('div', { class: 'field' }, h('label', { for: 'device-input' }, 'Microphone'), inputs),
        level.element,
        h('div', { class: 'row' }, meterOn, h('span', { class: 'dim small' }, 'Speak: the lamps should reach the amber part.')),
        filter('echoCancellation', 'Remove echo', 'Keep on unless you use a headset with its own.'),
        filter('noiseSuppression', 'Suppress noise', 'Takes away fans and keyboards, and also steady tones.'),
        filter('autoGainControl', 'Level my voice', 'Loud and quiet speech come out alike.')),
      card('Speaker and bell',
        h('div', { class: 'field' }, h('label', { for: 'device-output' }, 'Customer’s voice'), outputs),
        canChooseBell() && h('div', { class: 'field' }, h('label', { for: 'device-bell' }, 'Bell'), bells,
          h('span', { class: 'dim small' }, 'On loudspeakers it is heard with the headset on the table.')),
        h('div', { class: 'field' }, h('label', { for: 'ring-volume' }, 'Bell volume'),
          h('input', { id: 'ring-volume', type: 'range', min: 0, max: 1, step: 0.05, value: prefs.ringVolume, onchange: (event) => setPref('ringVolume', Number(event.target.value)) })),
        rises(),
        h('div', { class: 'row' }, h('button', { type: 'button', class: 'btn btn-s', testid: 'test-sound', onclick: ringOnce }, icon('sound', 'icon-s'), 'Test bell'))),
      card('Appearance and sign-in',
        h('div', { class: 'field' }, h('span', { class: 'label', id: 'theme-label' }, 'Theme'), h('div', null, themes)),
        h('div', null, h('button', { type: 'button', class: 'btn', onclick: () => dispatchEvent(new Event('tandem:signout')) }, icon('leave', 'icon-s'), 'Sign out'))))));
  drawReady();
  drawThemes();
  void import('../ui/closedcard.js').then(({ closedCard }) => { if (!scope.gone) closedCard(closed, scope); });
  void drawDevices();
}

async function ringOnce() {
  if (await unlockSound()) testBell();
  else toast({ title: 'No sound', text: 'The browser refuses sound for this page. Allow it in the site settings (lock sign in the address bar).', tone: 'stop' });
}

function card(title, ...children) {
  return h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, title)), h('div', { class: 'card-pad' }, children));
}

function rises() {
  const input = h('input', { type: 'checkbox', id: 'ring-rises', checked: prefs.ringRises, onchange: () => setPref('ringRises', input.checked) });
  return h('div', { class: 'check' }, input, h('label', { for: 'ring-rises' }, 'Begin softly', h('br'), h('span', { class: 'dim small' }, 'Each ring is louder than the one before, up to the volume above. In a call the bell stays soft.')));
}

function filter(name, label, hint) {
  const input = h('input', { type: 'checkbox', id: `filter-${name}`, checked: prefs[name], onchange: () => {
    setPref(name, input.checked);
    void mic.reopen();
  } });
  return h('div', { class: 'check' }, input, h('label', { for: `filter-${name}` }, label, h('br'), h('span', { class: 'dim small' }, hint)));
}

function fillSelect(select, devices, chosen, fallback) {
  const options = [h('option', { value: '' }, fallback), ...devices.filter(({ deviceId }) => deviceId !== 'default').map((device, i) => h('option', { value: device.deviceId }, device.label || `Device ${i + 1}`))];
  fill(select, options);
  select.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : '';
}
