// Devices: whether calls ring in this browser while the console is closed, and in which others they do.

import { pushView, switchOwnOff, switchPushOff, switchPushOn, testPush } from '../push.js';
import { fill, h, icon } from './dom.js';
import { when } from './format.js';
import { failed, skeleton } from './parts.js';
import { toast, toastError } from './toast.js';

export function closedCard(box, scope) {
  let busy = false;

  async function draw() {
    try {
      const view = await pushView(scope.signal);
      if (!scope.gone) fill(box, card(view));
    } catch (error) {
      if (!scope.gone) fill(box, failed(error, draw));
    }
  }

  /** One thing at a time; what came of it is drawn whichever way it went. */
  async function act(title, deed) {
    if (busy) return;
    busy = true;
    box.setAttribute('aria-busy', 'true');
    try {
      await deed();
    } catch (error) {
      toastError(title, error);
    }
    busy = false;
    box.removeAttribute('aria-busy');
    if (!scope.gone) await draw();
  }

  function card({ kind, trouble, own, others, full }) {
    const isOn = kind === 'on';
    const input = h('input', {
      type: 'checkbox', role: 'switch', id: 'ring-closed', testid: 'ring-closed', checked: isOn, disabled: trouble !== null, ariaDescribedBy: 'ring-closed-says',
      onchange: () => act(isOn ? 'It was not switched off' : 'It was not switched on', () => (isOn ? switchOwnOff(own.id) : on(full))),
    });
    return [
      h('div', { class: 'check' }, input, h('label', { for: 'ring-closed' }, 'Ring me here when the console is closed', h('br'), h('span', { class: 'dim small', id: 'ring-closed-says', testid: 'ring-closed-says' }, trouble ?? said(isOn)))),
      isOn && h('div', null, h('button', { type: 'button', class: 'btn btn-s', testid: 'test-push', onclick: () => act('The test push did not arrive', test(own)) }, icon('phone', 'icon-s'), 'Test push')),
      others.length > 0 && [h('span', { class: 'label', id: 'ring-others' }, 'You are also rung in'), h('ul', { class: 'ready-list', ariaLabelledBy: 'ring-others' }, others.map(other))],
      h('p', { class: 'dim small' }, 'A push goes through the push service of your browser’s maker: it learns that you are rung, and nothing of who calls. It needs the gateway and this browser to have a way to the internet.'),
    ];
  }

  function other({ id, device, created_at: since }) {
    return h('li', null,
      h('span', { class: 'lamp', data: { tone: 'go' } }),
      h('span', { class: 'grow' }, device, h('br'), h('span', { class: 'dim small' }, `since ${when(since)}`)),
      h('button', { type: 'button', class: 'btn btn-s', ariaLabel: `Switch off ${device}`, onclick: () => act('It was not switched off', () => switchPushOff(id)) }, 'Switch off'));
  }

  fill(box, skeleton(3));
  void draw();
  scope.on('pushes', () => { if (!busy) void draw(); });
  // Permissions are given in the browser's own menus, beside the page.
  const back = () => { if (!busy && document.visibilityState === 'visible') void draw(); };
  document.addEventListener('visibilitychange', back);
  scope.add(() => document.removeEventListener('visibilitychange', back));
}

function said(isOn) {
  return isOn
    ? 'On. Close the console while you are online and you stay online: calls ring here as notifications. Go offline when your shift ends.'
    : 'Off. Close the console and you go offline after some seconds.';
}

async function on(full) {
  if (full) throw new Error('You are rung in as many other browsers as you can be. Switch one of them off first.');
  await switchPushOn();
}

function test(own) {
  return async () => {
    const took = await testPush(own);
    toast({ title: 'Test push', text: `It came back to this browser in ${took} ms.`, tone: 'go' });
  };
}
