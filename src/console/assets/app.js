// Boot: sign in, open the line, show the pages. Everything else is in the file that bears its name.

import { openAgentStream } from './agentstream.js';
import { api, takeFromAddress, token, whenUnauthorized, Problem } from './api.js';
import { answerSoon } from './answer.js';
import { emit, on } from './bus.js';
import { startDeviceWatch } from './devicewatch.js';
import { closeLine, onEvent, onLead, onTabMessage, resync, setOnline } from './line.js';
import { workerOf } from './notify.js';
import { streamOpened } from './offers.js';
import { currentPeer, phoneView } from './phone.js';
import { pushWanted, renewPush } from './push.js';
import { stopReadiness } from './readiness.js';
import { redraw, startRouter, stopRouter } from './router.js';
import { forgetEverything, loadDirectory, myCall, state } from './state.js';
import { joinTabs, leaveTabs, tellTabs } from './tabs.js';
import { closeDialog } from './ui/dialog.js';
import { closeShell, openShell } from './ui/shell.js';
import { bringIcons } from './ui/icons.js';
import { lazy } from './ui/lazy.js';
import { toast } from './ui/toast.js';
import { contactView } from './views/contact.js';
import { contactsView } from './views/contacts.js';
import { devicesView } from './views/devices.js';
import { homeView } from './views/home.js';
import { askToSignInAgain, showDeadLink, showSignIn, showWelcome } from './views/signin.js';

const callsView = lazy(() => import('./views/calls.js'), 'callsView');
const callView = lazy(() => import('./views/call.js'), 'callView');

const ROUTES = [
  ['/', homeView, 'home'],
  ['/home', homeView, 'home'],
  ['/live', lazy(() => import('./views/live.js'), 'liveView'), 'live'],
  ['/calls', callsView, 'calls'],
  ['/calls/:id', callView, 'calls'],
  ['/contacts', contactsView, 'contacts'],
  ['/contacts/:id', contactView, 'contacts'],
  ['/devices', devicesView, 'devices'],
  ['/more', lazy(() => import('./views/more.js'), 'moreView'), 'more'],
  ['/analytics', lazy(() => import('./views/analytics.js'), 'analyticsView'), 'analytics'],
  ['/wallet', lazy(() => import('./views/wallet.js'), 'walletView'), 'wallet'],
  ['/settings', lazy(() => import('./views/settings.js'), 'settingsView'), 'settings'],
  ['/settings/channels', lazy(() => import('./views/settings.js'), 'channelsView'), 'settings'],
  ['/settings/channels/voice-calling', lazy(() => import('./views/voice.js'), 'voiceView'), 'settings'],
  ['/settings/channels/number', lazy(() => import('./views/number.js'), 'numberView'), 'settings'],
  ['/settings/routing', lazy(() => import('./views/routing.js'), 'routingView'), 'settings'],
  ['/settings/people', lazy(() => import('./views/people.js'), 'peopleView'), 'settings'],
  ['/settings/people/new', lazy(() => import('./views/person.js'), 'newPersonView'), 'settings'],
  ['/settings/people/:id', lazy(() => import('./views/person.js'), 'personView'), 'settings'],
  ['/settings/teams', lazy(() => import('./views/teams.js'), 'teamsView'), 'settings'],
  ['/settings/roles', lazy(() => import('./views/roles.js'), 'rolesView'), 'settings'],
  ['/account', lazy(() => import('./views/account.js'), 'accountView'), 'account'],
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
    get link() { return state.link; },
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
addEventListener('tandem:expired', () => {
  if (inCallHere()) askToSignInAgain(waysIn(renew));
  else leave(ENDED);
});
// A link pasted into the address bar of an open console changes only the fragment.
addEventListener('hashchange', () => { if (adoptToken()) void begin(); });
addEventListener('tandem:signout', signOut);
on('rights', () => {
  if (!signedIn) return;
  closeDialog(); // it may be about what is no longer this agent's to do
  redraw();
  toast({ title: 'Your access was changed', text: 'What you see now is what your role and team allow.' });
});
// A page kept in the back-forward cache has lost its stream and its audio: start afresh.
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
// A phone stops the page when another program comes to the front. It shows nothing then: who wants pushes is rung by them.
document.addEventListener('freeze', () => {
  if (!signedIn || !pushWanted()) return;
  stream?.stop();
  setLink('down'); // so that going on is news, and the gateway is told anew whether this browser is ready
});
document.addEventListener('resume', () => { if (signedIn && stream?.stopped) listen(state.agent.id); });

void bringIcons();
startDeviceWatch();
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
  const chosen = takeFromAddress('answer');
  if (chosen !== null) answerSoon(chosen);
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

/** By a link: who uses it is signed in here from then on, whoever was before. */
async function welcome(invitation) {
  const root = document.getElementById('app');
  const home = () => history.replaceState(null, '', '/');
  try {
    const whose = await api.post('/v1/session/invitation/details', { invitation });
    showWelcome(root, whose, async (password) => {
      await api.post('/v1/session/invitation', { invitation, password });
      token.forget();
      home();
      await signIn();
    });
  } catch (error) {
    const again = error.status === 401 ? ['Sign in', () => { home(); void begin(); }] : ['Try again', () => welcome(invitation)];
    showDeadLink(root, error.message, again);
  }
}

/** A browser has one sign-in for all its tabs, unless one was given a token of its own. */
const browser = 'BroadcastChannel' in globalThis ? new BroadcastChannel('tandem') : null;
browser?.addEventListener('message', ({ data }) => {
  if (!signedIn || token.read() || data.agent === state.agent.id) return;
  if (inCallHere()) emit('expired');
  else leave(data.agent ? 'Somebody else has signed in in this browser.' : null);
});

function tellBrowser(agent) {
  if (!token.read()) browser?.postMessage({ agent });
}

/** The same person again, in the middle of a call. */
async function renew() {
  const session = await api.get('/v1/session');
  if (session.agent?.id !== state.agent.id) {
    if (token.read()) token.forget();
    else await api.delete('/v1/session');
    throw new Problem({ code: 'not_the_same', detail: `${state.agent.name} is in this call. Sign in as ${state.agent.name}.` });
  }
  state.session = session;
  tellBrowser(state.agent.id);
  stream?.stop();
  listen(state.agent.id);
  emit('signed-in');
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
  tellBrowser(me);
  listen(me);
  void workerOf().then(renewPush).catch((error) => console.warn('Calls will not ring here while the console is closed', error.message));
}

function listen(me) {
  // This console sends a receipt for every offer that it shows; without one in a second the next agent rings.
  const opened = openAgentStream(`/v1/agents/${encodeURIComponent(me)}/events?receipts=true`, me, {
    onEvent: (event) => {
      heard.push(event);
      if (heard.length > HEARD_MAX) heard.shift();
      onEvent(event);
    },
    onReady: () => {
      streamOpened();
      setLink('live');
      resync().catch((error) => {
        if (stream !== opened || error.status === 401) return;
        console.warn('The state could not be fetched', error.message);
      });
    },
    onDown: () => setLink('down'),
  });
  stream = opened;
}

function setLink(link) {
  if (state.link === link) return;
  state.link = link;
  emit('link');
}

function ask(sentence) {
  showSignIn(document.getElementById('app'), sentence, waysIn(signIn));
}

/** How one comes in; `then()` goes on from there. */
function waysIn(then) {
  return {
    async password(login, password) {
      token.forget();
      await api.post('/v1/session', { login, password });
      await then();
    },
    async token(pasted) {
      token.keep(pasted);
      try {
        await then();
      } catch (error) {
        token.forget();
        throw error.status === 401 ? new Problem({ code: error.code, detail: NOT_VALID }) : error;
      }
    },
  };
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
    tellBrowser(null);
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
