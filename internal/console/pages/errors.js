// Errors: every AADSTS code of the catalogue, with what it means and what to change.
import { badge, facts, h, input } from './dom.js';
import { ask, events } from './lab.js';


export function show(main, [code]) {
  const search = input({ type: 'search', 'aria-label': 'Search codes and texts', placeholder: '700213, subject, expired…', value: code ?? '' });
  const count = h('p', { class: 'hint', role: 'status' });
  const list = h('div', { class: 'errors' });
  main.append(h('h1', {}, 'Errors'), h('p', { class: 'lead' }, 'What the codes of Entra ID mean, and what to change.'), h('div', { class: 'tools' }, search), count, list);
  let all = [];
  const draw = () => {
    const words = search.value.toLowerCase().replace(/^aadsts/, '').split(/\s+/).filter(Boolean);
    const met = new Set(events.all.map((e) => e.code).filter(Boolean));
    const found = all.filter((e) => {
      const text = `${e.code} ${e.error} ${e.text} ${e.meaning} ${e.remedy}`.toLowerCase();
      return words.every((w) => text.includes(w));
    });
    const named = (e) => words.includes(String(e.code));
    found.sort((a, b) => named(b) - named(a) || met.has(b.code) - met.has(a.code));
    count.textContent = `${found.length} of ${all.length} codes`;
    list.replaceChildren(...found.map((e) => h('details', { class: 'error', open: found.length === 1 || named(e) },
      h('summary', {}, h('strong', {}, `AADSTS${e.code}`), ' ', met.has(e.code) ? badge('bad', 'happened here') : null, ' ', e.meaning),
      facts([['Text', h('code', {}, e.text)], ['Answer', `HTTP ${e.status} ${e.error}`], ['What to change', e.remedy], ['wiemu never answers with it', e.never], ['Source', `${e.source} (${e.confidence})`]]))));
  };
  search.addEventListener('input', draw);
  ask('GET', '/v1/errors').then((catalogue) => {
    all = catalogue;
    draw();
  }, (err) => { count.textContent = err.message; });
  return null;
}
