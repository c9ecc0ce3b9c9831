// WhatsApp Voice Calling: how one number takes calls. A draft is changed, then saved as a whole, and only if nobody else
// changed the settings meanwhile.

import { api, query } from '../api.js';
import { go, holdPage, setTitle } from '../router.js';
import { state } from '../state.js';
import { fill, h, icon, setText } from '../ui/dom.js';
import { askLeaving } from '../ui/leaving.js';
import { empty, failed, notice, skeleton } from '../ui/parts.js';
import { toast } from '../ui/toast.js';
import { crumbs, mayConfigure } from './settings.js';
import { closedCard, closedMistakes } from './voice/closed.js';
import { copyOf, same, settingsWords } from './voice/draft.js';
import { hoursCard, hoursMistakes } from './voice/hours.js';
import { drawHealth, drawLinks, drawNow, drawPrerequisites, drawSync } from './voice/side.js';

const FIELDS = ['allow_voice_calls', 'display_call_buttons', 'callback_permission', 'call_hours', 'unavailable'];
/** WhatsApp is told within seconds; nothing says when it was. */
const PENDING_MS = 3_000;
const SWITCHES = [
  ['allow_voice_calls', 'Allow Voice Calls', 'Customers can call this number. Off: nobody rings, and call buttons are hidden.'],
  ['display_call_buttons', 'Display Call Buttons', 'A call button on your profile and in chats. Off: links and message buttons still work, and the call hours are locked.'],
  ['callback_permission', 'Callback Permission', 'Who calls you may be called back for seven days.'],
];

export function voiceView(root, scope, _parameters, search) {
  if (!mayConfigure(root)) return;
  setTitle('WhatsApp Voice Calling');
  const number = state.numbers.find(({ id }) => id === search.get('number')) ?? state.numbers[0];
  const body = h('div', { class: 'stack-gap' }, h('div', { class: 'card' }, skeleton(8)));
  fill(root, h('div', { class: 'page' },
    h('div', { class: 'page-head' },
      h('div', null, crumbs(['/settings', 'Settings'], ['/settings/channels', 'Channel Settings']), h('h1', { tabindex: -1 }, 'WhatsApp Voice Calling')),
      number && numberChoice(number)),
    body));
  if (!number) {
    fill(body, h('div', { class: 'card' }, state.session.grants?.manage
      ? [empty('phone', 'No number yet', 'Connect your WhatsApp number; then it is set up here.'), h('div', { class: 'more' }, h('a', { class: 'btn btn-primary', href: '/settings/channels/number', testid: 'connect-number' }, 'Connect a number'))]
      : empty('phone', 'No number yet', 'The owner connects your WhatsApp number; then it is set up here.')));
    return;
  }
  new VoicePage(number, body, scope).open();
}

function numberChoice(number) {
  if (state.numbers.length < 2) return h('strong', { class: 'num' }, number.display_phone_number);
  const select = h('select', { class: 'select num', ariaLabel: 'Business number', testid: 'voice-number', onchange: () => {
    go(query('/settings/channels/voice-calling', { number: select.value }));
    select.value = number.id; // for as long as changes hold this page
  } },
    state.numbers.map(({ id, display_phone_number: shown }) => h('option', { value: id, selected: id === number.id }, shown)));
  return h('div', null, select);
}

class VoicePage {
  #number;
  #root;
  #scope;
  /** As the gateway has them, and the tag of that version. */
  #saved = null;
  #etag = null;
  #draft = null;
  /** What somebody else saved while there was a draft: `{ value, etag }`. */
  #theirs = null;
  #main = h('div');
  #side = h('div');
  #trouble = h('div', { ariaLive: 'assertive', testid: 'settings-trouble' });
  #bar = null;
  #hint = h('span', { role: 'status', testid: 'save-state' });
  #busy = false;
  #again = null;
  #qr;

  constructor(number, root, scope) {
    this.#number = number;
    this.#root = root;
    this.#scope = scope;
    this.#qr = api.text(`/v1/numbers/${encodeURIComponent(number.id)}/deep-link.svg`, scope.signal);
    this.#qr.catch(() => {}); // told where the code would stand
  }

  get #path() {
    return `/v1/numbers/${encodeURIComponent(this.#number.id)}/settings`;
  }

  async open() {
    try {
      this.#adopt(await api.tagged(this.#path, this.#scope.signal));
    } catch (error) {
      if (!this.#scope.gone) fill(this.#root, h('div', { class: 'card' }, failed(error, () => this.open())));
      return;
    }
    this.#save = h('button', { type: 'button', class: 'btn btn-primary', testid: 'settings-save', onclick: () => this.#store(this.#etag) }, 'Save');
    this.#bar = h('div', { class: 'save-bar', testid: 'save-bar' }, this.#hint,
      h('button', { type: 'button', class: 'btn', testid: 'settings-discard', onclick: () => this.#discard() }, 'Discard'), this.#save);
    fill(this.#root, this.#trouble, h('div', { class: 'two' }, this.#main, this.#side), this.#bar);
    this.#drawAll();
    this.#scope.on('settings', (data) => {
      if (data?.number_id === this.#number.id) void this.#look();
    });
    this.#scope.on('resync', () => void this.#look());
    this.#scope.add(() => clearTimeout(this.#again));
    const keep = (event) => { if (this.#dirty.length > 0) event.preventDefault(); };
    addEventListener('beforeunload', keep);
    this.#scope.add(() => removeEventListener('beforeunload', keep));
    holdPage(this.#scope, () => this.#mayLeave());
  }

  async #mayLeave() {
    if (this.#dirty.length === 0) return true;
    const answer = await askLeaving('Your changes to these settings');
    if (answer === 'save') await this.#store(this.#etag);
    return answer === 'discard' || (answer === 'save' && this.#dirty.length === 0);
  }

  #save = null;

  get #dirty() {
    return FIELDS.filter((field) => !same(this.#draft[field], this.#saved[field]));
  }

  get #locked() {
    return !this.#draft.display_call_buttons;
  }

  #adopt({ value, etag }) {
    this.#saved = value;
    this.#etag = etag;
    this.#draft = copyOf(value, FIELDS);
    this.#theirs = null;
  }

  /** Somebody, or WhatsApp, changed something: show it, but never over what is being written here. */
  async #look() {
    try {
      const found = await api.tagged(this.#path, this.#scope.signal);
      if (this.#busy) return;
      if (found.etag === this.#etag || this.#dirty.length === 0) {
        const draft = this.#draft;
        const unchanged = found.etag === this.#etag;
        this.#adopt(found);
        if (unchanged) {
          this.#draft = draft;
          this.#drawSide();
        } else this.#drawAll();
      } else {
        this.#theirs = found;
        this.#drawConflict();
      }
    } catch { /* the next event, or saving, tells */ }
  }

  async #store(etag) {
    const mistakes = [...hoursMistakes(this.#draft.call_hours), ...closedMistakes(this.#draft.unavailable)];
    if (!this.#locked && mistakes.length > 0) return this.#complain(mistakes);
    const changed = Object.fromEntries(this.#dirty.map((field) => [field, this.#draft[field]]));
    this.#busy = true;
    this.#drawBar();
    try {
      this.#adopt(await api.putTagged(this.#path, changed, etag));
      fill(this.#trouble);
      this.#drawAll();
      const told = { synced: 'WhatsApp has them.', pending: 'WhatsApp is being told.', failed: 'WhatsApp could not be told yet; that is tried again.' }[this.#saved.sync.state];
      toast({ title: 'Settings saved', text: told, tone: this.#saved.sync.state === 'failed' ? 'warn' : 'go' });
    } catch (error) {
      if (this.#scope.gone) return;
      if (error.code === 'precondition_failed') await this.#meet(error);
      else this.#complain(inWords(error));
    } finally {
      this.#busy = false;
      this.#drawBar();
    }
  }

  async #meet(error) {
    try {
      this.#theirs = await api.tagged(this.#path, this.#scope.signal);
      this.#drawConflict();
    } catch {
      this.#complain([error.message]);
    }
  }

  #complain(sentences) {
    fill(this.#trouble, notice('stop', 'warn', h('ul', { testid: 'settings-mistakes' }, sentences.map((text) => h('li', null, text)))));
    this.#trouble.scrollIntoView({ block: 'nearest' });
  }

  #drawConflict() {
    const theirs = this.#theirs;
    const mine = this.#dirty;
    const fields = FIELDS.filter((field) => mine.includes(field) || !same(this.#saved[field], theirs.value[field]));
    const overThem = () => {
      const kept = copyOf(this.#draft, mine);
      this.#adopt(theirs);
      Object.assign(this.#draft, kept);
      void this.#store(theirs.etag);
    };
    fill(this.#trouble, h('div', { class: 'notice', data: { tone: 'warn' }, role: 'alert', testid: 'settings-conflict' }, icon('warn'), h('div', { class: 'stack-gap' },
      h('p', null, h('strong', null, 'Somebody else changed these settings while you were at it.'), ' Nothing of yours is saved yet.'),
      h('div', { class: 'table-wrap' }, h('table', { class: 'conflict' },
        h('thead', null, h('tr', null, ['Setting', 'Theirs, saved', 'Yours, not saved'].map((name) => h('th', { scope: 'col' }, name)))),
        h('tbody', null, fields.map((field) => h('tr', null, h('th', { scope: 'row' }, settingsWords.name(field)),
          h('td', null, settingsWords.value(field, theirs.value[field])), h('td', null, mine.includes(field) ? settingsWords.value(field, this.#draft[field]) : '–')))))),
      h('div', { class: 'row' },
        h('button', { type: 'button', class: 'btn btn-s', testid: 'conflict-theirs', onclick: () => { this.#adopt(theirs); fill(this.#trouble); this.#drawAll(); } }, 'Take theirs'),
        h('button', { type: 'button', class: 'btn btn-s', testid: 'conflict-mine', onclick: overThem }, 'Save mine over them')))));
    this.#trouble.scrollIntoView({ block: 'nearest' });
  }

  #discard() {
    if (this.#theirs) this.#adopt(this.#theirs);
    else this.#draft = copyOf(this.#saved, FIELDS);
    fill(this.#trouble);
    this.#drawAll();
  }

  #change = () => this.#drawBar();

  /** After the gateway's state has changed. */
  #drawAll() {
    this.#draw();
    this.#drawSide();
  }

  #draw() {
    const draft = this.#draft;
    fill(this.#main,
      h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Calls')), h('div', { class: 'card-pad stack-gap' }, SWITCHES.map(([field, label, hint]) => this.#switch(field, label, hint)))),
      hoursCard(draft, this.#locked, this.#change), closedCard(draft, this.#locked, this.#change));
    this.#drawBar();
  }

  #drawSide() {
    const saved = this.#saved;
    const again = async () => {
      try {
        const draft = copyOf(this.#draft, this.#dirty);
        this.#adopt(await api.putTagged(this.#path, {}, this.#etag));
        Object.assign(this.#draft, draft);
        this.#drawAll();
      } catch (error) {
        this.#complain([error.message]);
      }
    };
    const health = h('section', { class: 'card', testid: 'health-card' }, skeleton(3));
    this.#now = h('section', { class: 'card', testid: 'now-card' });
    this.#drawNow();
    fill(this.#side, this.#now, drawPrerequisites(saved), drawSync(saved, again), drawLinks(this.#number, saved, this.#qr), health);
    clearTimeout(this.#again);
    if (saved.sync.state === 'pending') this.#again = setTimeout(() => void this.#look(), PENDING_MS);
    api.get(`/v1/numbers/${encodeURIComponent(this.#number.id)}/health`, this.#scope.signal).then((found) => drawHealth(health, found), (error) => {
      if (!this.#scope.gone) fill(health, failed(error));
    });
  }

  #switch(field, label, hint) {
    const toggle = h('button', { type: 'button', class: 'switch switch-page', role: 'switch', id: `set-${field}`, testid: `set-${field}`, ariaChecked: String(this.#draft[field]), ariaLabelledBy: `set-${field}-label`, ariaDescribedBy: `set-${field}-hint`, onclick: () => {
      this.#draft[field] = !this.#draft[field];
      if (field === 'display_call_buttons' && this.#locked) Object.assign(this.#draft, copyOf(this.#saved, ['call_hours', 'unavailable']));
      this.#draw();
      document.getElementById(`set-${field}`)?.focus();
    } });
    return h('div', { class: 'setting' }, h('div', null, h('strong', { id: `set-${field}-label` }, label), h('p', { class: 'dim small', id: `set-${field}-hint` }, hint),
      this.#saved.unknown.includes(field) && h('p', { class: 'small warn-words' }, 'Not known yet: WhatsApp has not told what it has. This is a default.')), toggle);
  }

  #now = h('section');

  #drawNow() {
    drawNow(this.#now, this.#number, this.#saved, this.#draft);
  }

  #drawBar() {
    const { length } = this.#dirty;
    this.#drawNow();
    this.#bar.hidden = length === 0 && !this.#busy;
    setText(this.#hint, this.#busy ? 'Saving…' : length === 0 ? '' : 'Changes are not saved yet.');
    this.#save.disabled = this.#busy;
  }
}

/** What the gateway says of fields, one sentence each, in people's words. */
function inWords(error) {
  const day = (text) => text.replace(/call_hours\.weekly\.(\w)(\w+)(\[\d\])?/g, (_, first, rest) => first.toUpperCase() + rest)
    .replace('call_hours.time_zone', 'Time zone').replace(/unavailable(\[\d+\])?(\.\w+)?/g, 'Closed dates').replace('call_hours.weekly', 'Call hours');
  return error.message.split('; ').map(day);
}
