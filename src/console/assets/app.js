// Boot: sign in, open the line, show the pages. Everything else is in the file that bears its name.

import { api, takeFromAddress, token, whenUnauthorized, Problem } from './api.js';
import { emit } from './bus.js';
import { EventStream } from './events.js';
import { closeLine, lineOpened, onEvent, onLead, onTabMessage, resync, setOnline } from './line.js';
import { currentPeer, phoneView } from './phone.js';
import { stopReadiness } from './readiness.js';
import { startRouter, stopRouter } from './router.js';
import { forgetEverything, loadDirectory, myCall, state } from './state.js';
import { joinTabs, leaveTabs, tellTabs } from './tabs.js';
import { closeDialog } from './ui/dialog.js';
import { closeShell, openShell } from './ui/shell.js';
import { lazy } from './ui/lazy.js';
import { toast } from './ui/toast.js';
import { contactView } from './views/contact.js';
import { contactsView } from './views/contacts.js';
import { devicesView } from './views/devices.js';
import { homeView } from './views/home.js';
import { showSignIn, showWelcome } from './views/signin.js';

const callsView = lazy(() => import('./views/calls.js'), 'callsView');
const callView = lazy(() => import('./views/call.js'), 'callView');

const ROUTES = [
  ['/', homeView, 'home'],
  ['/home', homeView, 'home'],
  ['/calls', callsView, 'calls'],
  ['/calls/:id', callView, 'calls'],
  ['/contacts', contactsView, 'contacts'],
  ['/contacts/:id', contactView, 'contacts'],
  ['/devices', devicesView, 'devices'],
  ['/analytics', lazy(() => import('./views/analytics.js'), 'analyticsView'), 'analytics'],
  ['/wallet', lazy(() => import('./views/wallet.js'), 'walletView'), 'wallet'],
  ['/settings', lazy(() => import('./views/settings.js'), 'settingsView'), 'settings'],
  ['/settings/channels', lazy(() => import('./views/settings.js'), 'channelsView'), 'settings'],
  ['/settings/channels/voice-calling', lazy(() => import('./views/voice.js'), 'voiceView'), 'settings'],
  ['/settings/routing', lazy(() => import('./views/routing.js'), 'routingView'), 'settings'],
];
/** Events kept for support, newest last. */
const HEARD_MAX = 200;

const heard = [];
let stream = null;
let signedIn = false;

// For support and for tests; nothing can be changed through it.
Object.defineProperty(globalThis, '__tandem', {
  value: Object.freeze({
    get peer() { return currentPeer(); },
    get events() { return [...heard]; },
  }),
});

const ENDED = 'You were signed out: after a long pause, by another password, or because your access was withdrawn. Sign in again.';
const NOT_VALID = 'This token is not valid: it has expired, was withdrawn, or was cut while copying.';

whenUnauthorized(() => {
  if (!signedIn) return;
  // A session that runs out must not cut the customer off: the audio leg needs none.
  if (inCallHere()) emit('expired');
  else leave(ENDED);
});
addEventListener('tandem:expired', () => leave(ENDED));
// A link pasted into the address bar of an open console changes only the fragment.
addEventListener('hashchange', () => { if (adoptToken()) void begin(); });
addEventListener('tandem:signout', signOut);
// A page kept in the back-forward cache has lost its stream and its audio: start afresh.
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

adoptToken();
void begin();

function adoptToken() {
  const found = takeFromAddress('token');
  if (found === null) return false;
  token.keep(found);
  return true;
}

async function begin() {
  end();
  const invitation = takeFromAddress('invitation');
  if (invitation !== null) return welcome(invitation);
  try {
    await signIn();
  } catch (error) {
    // Nobody is signed in yet: no sentence, just the form.
    if (error.status === 401) leave(token.read() ? NOT_VALID : null);
    else ask(error.message);
  }
}

/** By a link: whoever was signed in here is somebody else now. */
function welcome(invitation) {
  token.forget();
  showWelcome(document.getElementById('app'), async (password) => {
    await api.post('/v1/session/invitation', { invitation, password });
    history.replaceState(null, '', '/');
    await signIn();
  });
}

async function signIn() {
  const session = await api.get('/v1/session');
  if (!session.agent) {
    token.forget();
    throw new Problem({ code: 'not_an_agent', detail: 'This is an API key, not an agent’s token. Make one with POST /v1/agents/{id}/tokens.' });
  }
  state.session = session;
  state.agent = session.agent;
  await loadDirectory(); // pages are drawn with names, not ids
  signedIn = true;
  openShell(signOut);
  const me = session.agent.id;
  joinTabs(me, { onLead, onMessage: onTabMessage });
  tellTabs({ kind: 'hello' });
  startRouter(ROUTES);
  listen(me);
}

function listen(me) {
  // This console sends a receipt for every offer that it shows; without one in a second the next agent rings.
  const opened = new EventStream(`/v1/agents/${encodeURIComponent(me)}/events?receipts=true`, {
    onEvent: (event) => {
      heard.push(event);
      if (heard.length > HEARD_MAX) heard.shift();
      onEvent(event);
    },
    onReady: () => {
      lineOpened();
      setLink('live');
      resync().catch((error) => {
        if (stream !== opened || error.status === 401) return;
        console.warn('The state could not be fetched', error.message);
      });
    },
    onDown: () => setLink('down'),
  });
  stream = opened;
  void opened.start();
}

function setLink(link) {
  if (state.link === link) return;
  state.link = link;
  emit('link');
}

function ask(sentence) {
  showSignIn(document.getElementById('app'), sentence, {
    async password(login, password) {
      token.forget();
      await api.post('/v1/session', { login, password });
      await signIn();
    },
    async token(pasted) {
      token.keep(pasted);
      try {
        await signIn();
      } catch (error) {
        token.forget();
        throw error.status === 401 ? new Problem({ code: error.code, detail: NOT_VALID }) : error;
      }
    },
  });
}

/** Who signs out takes no calls: the gateway should not go on offering them. */
async function signOut() {
  if (myCall()) {
    toast({ title: 'You are in a call', text: 'Hang up first, then sign out.', tone: 'warn' });
    return;
  }
  try {
    if (state.agent?.status === 'online') await setOnline(false);
  } catch { /* out of reach: the gateway notices by itself that nobody listens */ }
  if (!token.read()) {
    try {
      await api.delete('/v1/session');
    } catch (error) {
      if (error.status !== 401) {
        toast({ title: 'You are still signed in', text: error.message, tone: 'warn' });
        return;
      }
    }
  }
  leave(null);
}

function inCallHere() {
  const call = myCall();
  return call !== null && phoneView().callId === call.id && ['connected', 'connecting'].includes(phoneView().phase);
}

function leave(sentence) {
  token.forget();
  end();
  ask(sentence);
}

function end() {
  if (!signedIn) return;
  signedIn = false;
  stream?.stop();
  stream = null;
  closeLine();
  stopReadiness();
  closeDialog();
  closeShell();
  stopRouter();
  leaveTabs();
  forgetEverything();
  heard.length = 0;
}
