// Scenarios: the library of what goes wrong, by symptom and by code; one is run and watched.
import { badge, clockTime, facts, field, h, input, outcome, select, span, table } from './dom.js';
import { reasons } from './explain.js';
import { ask, isRefusal, outcomeOf } from './lab.js';


export function show(main, [name]) {
  const body = h('div', {}, h('h1', {}, 'Scenarios'), h('p', { class: 'empty' }, 'Reading the library…'));
  main.append(body);
  let ended = false;
  ask('GET', '/v1/scenarios').then((all) => {
    if (ended) return;
    const one = all.find((s) => s.name === name);
    if (one) scenario(body, one, () => ended);
    else list(body, all);
  }, (err) => body.replaceChildren(h('h1', {}, 'Scenarios'), h('p', { class: err.status === 404 ? 'empty' : 'outcome bad' },
    err.status === 404 ? 'This server comes without the library of scenarios: wiemu serve has it. On the command line, wiemu scenario list shows it and wiemu scenario run runs it.' : err.message)));
  return () => { ended = true; };
}

let sought = ''; // for when the list is shown again

function list(body, all) {
  const search = input({ type: 'search', value: sought, 'aria-label': 'Search symptoms, causes and codes', placeholder: '700213, expired, rotated…' });
  const count = h('p', { class: 'hint', role: 'status' });
  const found = h('div', { class: 'cards' });
  const draw = () => {
    sought = search.value;
    const words = sought.toLowerCase().replaceAll('aadsts', '').split(/\s+/).filter(Boolean);
    const matching = all.filter((s) => {
      const text = [s.name, s.description, s.cause, ...(s.codes ?? [])].join(' ').toLowerCase();
      return words.every((w) => text.includes(w));
    });
    count.textContent = `${matching.length} of ${all.length} scenarios`;
    found.replaceChildren(...matching.map((s) => h('article', { class: 'card' },
      h('h2', {}, h('a', { href: `#/scenarios/${encodeURIComponent(s.name)}` }, s.name), (s.codes ?? []).map((c) => [' ', badge('bad', `AADSTS${c}`)])), h('p', {}, s.description))));
  };
  search.addEventListener('input', draw);
  body.replaceChildren(h('h1', {}, 'Scenarios'), h('p', { class: 'lead' }, 'What goes wrong with workload identity, with its symptom, its cause and what helps. Open one to run it, in a lab of its own that changes nothing here.'),
    save(), h('div', { class: 'tools' }, search), count, found);
  draw();
}

// save makes files of what happened in this session until now.
function save() {
  const name = input({ value: 'session', required: true });
  const as = select([['scenario', 'Scenario: a draft to edit, which does the same again'], ['recording', 'Recording: every request and answer, for wiemu replay']]);
  const named = field('Name', name, 'Lower-case letters, digits and hyphens, such as wrong-subject.');
  const said = outcome();
  const write = async () => {
    named.refuse();
    said.say('', '');
    try {
      const file = await ask('GET', `/v1/session?${new URLSearchParams({ as: as.value, name: name.value.trim() })}`);
      const url = URL.createObjectURL(new Blob([file.text]));
      h('a', { href: url, download: file.file }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      said.say('good', `${file.file} is saved. ${as.value === 'scenario' ? `Run it: wiemu scenario run ${file.file}` : `Repeat it: wiemu replay ${file.file}`}`);
    } catch (err) {
      if (err.field === 'name') named.refuse(err.message);
      else said.say(err.status === 404 ? '' : 'bad', err.message);
    }
  };
  return h('details', { class: 'card save' }, h('summary', {}, 'Save this session as a scenario or a recording'), h('p', { class: 'hint' }, 'What programs asked for and what was changed here since the server was started, as a file. It holds no token, secret or private key.'),
    h('form', { novalidate: true, onsubmit: (submitted) => { submitted.preventDefault(); write(); } }, h('div', { class: 'row2' }, named, field('As', as)), h('p', { class: 'actions' }, h('button', { class: 'primary' }, 'Save'))), said);
}

const words = { passed: 'It happened as described', failed: 'It did not happen as described', 'not-here': 'It cannot be run on this machine', interrupted: 'It was interrupted' };

function scenario(body, s, ended) {
  const said = outcome();
  const events = h('div', { class: 'happened' });
  const panel = h('div', {});
  const start = h('button', { type: 'button', class: 'primary', disabled: Boolean(s.unsupported), onclick: () => watch() }, 'Run');
  body.replaceChildren(h('p', { class: 'crumb' }, h('a', { href: '#/scenarios' }, 'Scenarios')), h('h1', {}, s.name, (s.codes ?? []).map((c) => [' ', badge('bad', `AADSTS${c}`)])),
    facts([
      ['Symptom', s.description], ['Cause', s.cause],
      ['Codes', s.codes?.length ? s.codes.map((c) => [h('a', { href: `#/errors/${c}` }, `AADSTS${c}`), ' ']) : ''],
      ['Links', s.links?.length ? h('ul', {}, s.links.map((l) => h('li', {}, /^https:\/\//.test(l) ? h('a', { href: l, rel: 'noreferrer', target: '_blank' }, l) : l))) : ''],
      ['Not on this machine', s.unsupported]]),
    h('p', { class: 'actions' }, start), h('p', { class: 'command' }, h('span', { 'aria-hidden': 'true' }, '$ '), h('code', {}, `wiemu scenario run ${s.name}`)), said, events, panel);

  const watch = async () => {
    start.disabled = true;
    said.say('', 'Starting its lab…');
    events.replaceChildren();
    panel.replaceChildren();
    const all = [];
    try {
      let run = await ask('POST', `/v1/scenarios/${encodeURIComponent(s.name)}/run`);
      for (;;) {
        if (run.events.length) {
          all.push(...run.events);
          draw(all);
        }
        if (run.outcome !== 'running') break;
        said.say('', `It runs: ${all.length} events so far.`);
        await new Promise((done) => { setTimeout(done, 200); });
        if (ended()) return;
        run = await ask('GET', `/v1/scenario-runs/${run.id}?after=${all.length}`);
      }
      said.say(run.outcome === 'passed' ? 'good' : 'bad', [`${words[run.outcome] ?? run.outcome}${run.reason ? `: ${run.reason}` : ''}.`,
        run.expectations ? `${run.expectations === 1 ? '1 expectation was' : `${run.expectations} expectations were`} looked at in ${span(run.simulatedSeconds)} of lab time.` : '', ...(run.notes ?? [])].join(' '));
      if (run.failures) panel.replaceChildren(...run.failures.map((f) => h('pre', {}, f)));
    } catch (err) {
      said.say('bad', err.message);
    }
    start.disabled = false;
  };

  const draw = (all) => events.replaceChildren(h('h2', {}, 'What happened'), table('Events of the scenario', ['Lab time', 'Kind', 'Outcome', 'What'], all.map((e) => [
    clockTime(e.time), e.kind, badge(isRefusal(e) ? 'bad' : 'quiet', e.code ? `${e.code}` : outcomeOf(e)),
    e.checks?.length || e.meaning ? h('details', { class: 'why', ontoggle: (t) => { if (t.target.open && t.target.childElementCount < 2) t.target.append(...reasons(e).filter(Boolean)); } }, h('summary', {}, e.summary)) : e.summary])));
}
