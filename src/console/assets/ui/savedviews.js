// Views of the list that this agent keeps: the gateway has them, so they are there in every browser.

import { api, query } from '../api.js';
import { state } from '../state.js';
import { asSaved, fromSaved } from './filters.js';
import { bdi, fill, h, icon, setText } from './dom.js';
import { menuButton } from './menu.js';
import { toast, toastError } from './toast.js';

/** As the API has it. */
const NAME_CHARS_MAX = 60;

/** A button with a menu; `current()` answers `{ section, filters }` of the list as it is shown. */
export function savedViews(scope, current) {
  const path = `/v1/agents/${encodeURIComponent(state.agent.id)}/views`;
  const { element, menu, show, button } = menuButton(scope, { testid: 'views', name: 'bookmark', label: 'Views', about: 'Saved views', onOpen: draw });
  let views = null;

  function draw() {
    const wrong = h('p', { class: 'field-error', id: 'view-wrong', role: 'alert' });
    const name = h('input', { class: 'input', id: 'view-name', testid: 'view-name', maxlength: NAME_CHARS_MAX, autocomplete: 'off', ariaDescribedBy: 'view-wrong', placeholder: 'e.g. Missed this week' });
    const { section, filters } = current();
    const here = query('/calls', { section, ...filters });
    const links = (views ?? []).map((view) => {
      const href = query('/calls', { section: view.section, ...fromSaved(view.filter) });
      return h('li', null,
        h('a', { href, testid: 'view', ariaCurrent: href === here ? 'true' : null, onclick: () => show(false) }, bdi(view.name)),
        h('button', { type: 'button', class: 'quiet', ariaLabel: `Remove the view ${view.name}`, title: 'Remove', onclick: () => remove(view) }, icon('close', 'icon-s')));
    });
    fill(menu,
      links.length > 0 ? h('ul', { class: 'view-list' }, links) : h('p', { class: 'dim small menu-words' }, views === null ? 'Looking for your views…' : 'No views yet. Narrow the list, and keep it under a name.'),
      h('form', { class: 'view-form', onsubmit: keep, novalidate: true }, h('label', { class: 'label', for: 'view-name' }, 'Keep this list as'),
        h('div', { class: 'row' }, name, h('button', { type: 'submit', class: 'btn btn-s', testid: 'view-save' }, 'Save')), wrong));
    if (views === null) void load();

    async function keep(event) {
      event.preventDefault();
      const wish = name.value.trim();
      if (!wish) {
        setText(wrong, 'Give it a name.');
        name.focus();
        return;
      }
      try {
        const told = current();
        await api.post(path, { name: wish, section: told.section, filter: asSaved(told.filters) });
        views = null;
        show(false);
        button.focus();
        toast({ title: 'View saved', text: wish, tone: 'go' });
      } catch (error) {
        setText(wrong, error.message);
      }
    }
  }

  async function load() {
    try {
      const { items } = await api.get(path, scope.signal);
      if (scope.gone) return;
      views = items;
      const typed = menu.querySelector('#view-name')?.value ?? '';
      const inside = menu.contains(document.activeElement);
      draw();
      const name = menu.querySelector('#view-name');
      name.value = typed;
      if (inside) (typed ? name : menu.querySelector('a, input')).focus();
    } catch (error) {
      if (!scope.gone && !menu.hidden) fill(menu.firstChild, error.message);
    }
  }

  async function remove(view) {
    try {
      await api.delete(`/v1/views/${encodeURIComponent(view.id)}`);
      views = views.filter(({ id }) => id !== view.id);
      draw();
      menu.querySelector('a, input').focus();
    } catch (error) {
      toastError('The view was not removed', error);
    }
  }

  return element;
}
