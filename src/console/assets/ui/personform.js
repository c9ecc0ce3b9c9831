// Who somebody is and what that somebody may: the form of a new person and of one who is there.

import { mayList, reachWords } from './access.js';
import { fill, h } from './dom.js';
import { words } from './format.js';
import { notice } from './parts.js';
import { EXCLUSION, SWITCHES } from './person.js';
import { toggle } from './toggle.js';

const ROLES = ['teammate', 'admin', 'sales_lead', 'owner'];

/**
 * `rules`: the rows of `GET /v1/access`. `save(wish)` gets what `PUT /v1/agents/{id}` wants, only what changed if `agent` is given; it rejects with the sentence to
 * show. `refresh(agent, teams)` takes in what others changed, but for what is being written here.
 */
export function personForm({ teams, rules, agent = null, yes, save }) {
  let known = agent;
  const name = input('name', { maxlength: 200, autocomplete: 'off' });
  const email = input('email', { type: 'email', maxlength: 254, autocomplete: 'off', spellcheck: 'false', placeholder: 'ana@example.com' });
  const role = h('select', { class: 'select', id: 'person-role', testid: 'person-role', ariaDescribedBy: 'person-role-hint', onchange: hint });
  const roleHint = h('div', { class: 'dim small', id: 'person-role-hint', role: 'status', testid: 'person-may' });
  const team = h('select', { class: 'select', id: 'person-team', testid: 'person-team' });
  const configures = toggle({ id: 'person-configure', label: SWITCHES.configure_calls, hint: 'Opens Settings: call buttons, hours, links, routing.', onChange: hint });
  const all = toggle({ id: 'person-all-calls', label: SWITCHES.all_calls, hint: 'Widens lists, recordings, transcripts and exports to everybody’s calls.', onChange: hint });
  const excluded = toggle({ id: 'person-excluded', label: 'Exclude from round robin', hint: EXCLUSION });
  const trouble = h('div', { ariaLive: 'assertive', testid: 'person-trouble' });
  const send = h('button', { type: 'submit', class: 'btn btn-primary', testid: 'person-save' }, yes);

  function hint() {
    const may = mayList(rules, role.value, { configure_calls: configures.value, all_calls: all.value }, { more: true });
    fill(roleHint, h('p', null, may.length === 0 ? 'With this role: what every agent may, with the own calls and customers.' : 'With this role and these switches, beyond what every agent may:'),
      may.length > 0 && h('ul', { class: 'may' }, may.map(([deed, reach]) => h('li', null, deed, reach !== 'yes' && h('strong', null, ` ${reachWords(reach).toLowerCase()}`)))));
  }

  const put = {
    name: (value) => { name.value = value; },
    email: (value) => { email.value = value ?? ''; },
    role: (value) => { role.value = value; },
    team_id: (value) => { team.value = value ?? ''; },
    excluded: (value) => excluded.set(value),
    switches: (value) => {
      configures.set(value.configure_calls);
      all.set(value.all_calls);
    },
  };
  const drawTeams = (list) => fill(team, h('option', { value: '' }, 'No team'), list.map(({ id, name: label }) => h('option', { value: id }, label)));

  const wish = () => ({
    name: name.value.trim(),
    email: email.value.trim() || null,
    role: role.value,
    team_id: team.value || null,
    excluded: excluded.value,
    switches: { configure_calls: configures.value, all_calls: all.value },
  });

  /** What was written here and is not what is known. */
  function changes() {
    const wished = wish();
    if (known === null) return wished;
    return Object.fromEntries(Object.entries(wished).filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(known[field])));
  }

  async function submit(event) {
    event.preventDefault();
    say(null);
    if (!name.value.trim()) return say('Write the name: colleagues see it, and every call bears it.', name);
    if (email.value.trim() && !/^[^\s@]+@[^\s@]+$/.test(email.value.trim())) return say('This is no e-mail address: write one like ana@example.com.', email);
    const wished = changes();
    if (Object.keys(wished).length === 0) return say('Nothing was changed.');
    send.disabled = true;
    try {
      await save(wished);
    } catch (error) {
      const [, at, sentence] = /^(name|email|team_id): (.*)$/s.exec(error.message) ?? [null, null, error.message];
      say(at ? `${at === 'email' ? 'E-mail address' : at === 'name' ? 'Name' : 'Team'}: ${sentence}` : sentence, { name, email }[at]);
    } finally {
      send.disabled = false;
    }
  }

  function say(sentence, at = null) {
    for (const one of [name, email]) one.removeAttribute('aria-invalid');
    fill(trouble, sentence && notice('stop', 'warn', sentence));
    if (!at) return;
    at.setAttribute('aria-invalid', 'true');
    at.focus();
  }

  fill(role, ROLES.map((value) => h('option', { value }, words.role(value))));
  drawTeams(teams);
  for (const [key, set] of Object.entries(put)) if (agent) set(agent[key]);
  hint();
  const element = h('form', { class: 'stack-gap', onsubmit: submit, novalidate: true },
    h('div', { class: 'pair' }, field('Name', name), field('E-mail address', email)),
    h('div', { class: 'pair' }, field('Role', role), field('Team', team)),
    configures.element, all.element, roleHint, excluded.element, trouble,
    h('div', { class: 'row' }, send, h('a', { class: 'link-plain', href: '/settings/roles' }, 'What the roles may')));
  return {
    element,
    focus: () => name.focus(),
    refresh(fresh, ofTeams) {
      const written = changes();
      const chosen = team.value;
      known = fresh;
      drawTeams(ofTeams);
      team.value = chosen;
      for (const [key, set] of Object.entries(put)) if (!(key in written)) set(fresh[key]);
      hint();
    },
  };
}

function input(what, properties) {
  return h('input', { class: 'input', id: `person-${what}`, testid: `person-${what}`, name: what, ...properties });
}

function field(label, control) {
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
}
