// The approved templates of a number to choose from, with what is to be filled in and what the customer will read. Where
// WhatsApp tells of none, the name is written by hand.

import { api } from '../api.js';
import { prefs, setPref } from '../prefs.js';
import { fill, h } from './dom.js';

/** WhatsApp's own bound of a name. */
const NAME_CHARS_MAX = 512;
const PLACE_CHARS_MAX = 200;

/** `{ element, wish(), keep() }`: `wish()` is the template as the API takes it, or a sentence about what is missing. */
export function templatePicker(numberId, contactName) {
  const name = h('input', { id: 'ask-template', class: 'input', testid: 'ask-template', value: prefs.template, maxlength: NAME_CHARS_MAX, autocapitalize: 'off', spellcheck: 'false', placeholder: 'may_we_call' });
  const language = h('input', { id: 'ask-language', class: 'input', testid: 'ask-language', value: prefs.templateLanguage, maxlength: 15, autocapitalize: 'off', spellcheck: 'false', placeholder: 'en' });
  const hint = h('p', { class: 'dim small' }, 'An approved template with a call permission request, by its name in WhatsApp Manager.');
  const byHand = h('div', { class: 'ask-template' },
    h('div', { class: 'field' }, h('label', { for: 'ask-template' }, 'Template'), name),
    h('div', { class: 'field' }, h('label', { for: 'ask-language' }, 'Language'), language), hint);
  const select = h('select', { id: 'ask-list', class: 'select', testid: 'ask-list', onchange: draw });
  const list = h('div', { class: 'field', hidden: true }, h('label', { for: 'ask-list' }, 'Template'), select);
  const placesBox = h('div', { class: 'stack-gap' });
  const preview = h('p', { class: 'ask-preview', testid: 'ask-preview' });
  const shown = h('div', { class: 'stack-gap', hidden: true }, placesBox, h('div', { class: 'field' }, h('span', { class: 'label' }, 'The customer reads'), preview));
  const element = h('div', { class: 'stack-gap' }, list, shown, byHand);
  let templates = [];
  let fields = [];

  api.get(`/v1/numbers/${encodeURIComponent(numberId)}/permission-templates`).then(({ items }) => {
    if (items.length === 0) return;
    templates = items;
    const last = items.findIndex((one) => one.name === prefs.template && one.language === prefs.templateLanguage);
    fill(select, items.map((one, i) => h('option', { value: i, selected: i === Math.max(last, 0) }, `${one.name} · ${one.language}`)), h('option', { value: '' }, 'Another, by its name…'));
    list.hidden = false;
    draw();
  }, (error) => fill(hint, `WhatsApp does not tell which templates there are (${error.message}). Write the name from WhatsApp Manager.`));

  function chosen() {
    return list.hidden ? undefined : templates[select.value];
  }

  function draw() {
    const template = chosen();
    byHand.hidden = template !== undefined;
    shown.hidden = template === undefined;
    if (!template) return;
    fields = template.places.map((place, i) => {
      const id = `ask-place-${i}`;
      const input = h('input', { id, class: 'input', testid: id, maxlength: PLACE_CHARS_MAX, oninput: write, value: i === 0 && place === '1' ? contactName : '' });
      return { place, input, row: h('div', { class: 'field' }, h('label', { for: id }, `In the place of {{${place}}}`), input) };
    });
    fill(placesBox, fields.map(({ row }) => row));
    placesBox.hidden = fields.length === 0;
    write();
  }

  function write() {
    const said = Object.fromEntries(fields.map(({ place, input }) => [place, input.value.trim()]));
    preview.textContent = chosen().body.replace(/\{\{\s*([^}]+?)\s*\}\}/g, (whole, place) => said[place] || whole);
  }

  return {
    element,
    wish() {
      const template = chosen();
      if (!template) {
        if (!name.value.trim() || !language.value.trim()) return 'Write the template’s name and its language.';
        return { name: name.value.trim(), language: language.value.trim() };
      }
      const open = fields.find(({ input }) => !input.value.trim());
      if (open) {
        open.input.focus();
        return `Fill in what stands in the place of {{${open.place}}}.`;
      }
      const parameters = fields.map(({ place, input }) => ({ type: 'text', ...(template.named && { parameter_name: place }), text: input.value.trim() }));
      return { name: template.name, language: template.language, ...(parameters.length > 0 && { components: [{ type: 'body', parameters }] }) };
    },
    keep({ name: used, language: spoken }) {
      setPref('template', used);
      setPref('templateLanguage', spoken);
    },
  };
}
