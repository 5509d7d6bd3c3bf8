// Control: the clock, keys, faults, issuers of workloads, and sessions. Each form shows the
// command line that does the same.
import { badge, command, field, h, input, outcome, select, table, time } from './dom.js';
import { ask, status, whenChanged } from './lab.js';


export function show(main) {
  main.append(h('h1', {}, 'Control'), h('p', { class: 'lead' }, 'Changes the lab while programs run. Below each form is the command line that does the same.'));
  const ends = [clock(main), keys(main), faults(main), move(main), revoke(main)];
  return () => ends.forEach((end) => end?.());
}

// form is a form with one button. line is its command line, and send does it and returns what
// is said then.
function form(heading, words, fields, button, line, send) {
  const said = outcome();
  const cmd = command(line);
  const b = h('button', { type: 'submit', class: 'primary' }, button);
  const e = h('form', { class: 'control', novalidate: true, oninput: () => cmd.update(), onchange: () => cmd.update(), onsubmit: async (event) => {
    event.preventDefault();
    for (const f of fields) f.refuse?.('');
    const empty = fields.find((f) => {
      const control = f.querySelector?.('input,select');
      return control?.required && !control.value.trim();
    });
    if (empty) {
      empty.refuse('This field is required.');
      empty.querySelector('input,select').focus();
      return;
    }
    b.disabled = true;
    said.say('', '');
    try {
      said.say('good', await send());
    } catch (err) {
      said.say('bad', err.message);
    }
    b.disabled = false;
    cmd.update();
  } }, h('h3', {}, heading), words ? h('p', { class: 'hint' }, words) : null, fields, h('p', { class: 'actions' }, b), cmd, said);
  e.update = () => cmd.update();
  e.call = (words) => { b.textContent = words; };
  return e;
}

const section = (main, heading, ...content) => main.append(h('section', { class: 'controls' }, h('h2', {}, heading), content));

async function tick(path, body) {
  status.take(await ask('POST', `/v1/clock/${path}`, body));
  return `Lab time is ${time(status.value.now)} UTC.`;
}

function clock(main) {
  const by = input({ value: '1h', required: true });
  const to = input({ required: true, placeholder: '2030-01-05T09:00:00Z' });
  const speed = input({ value: '600', required: true, inputmode: 'decimal' });
  const part = select(['entra', 'resources', 'workloads'], {});
  const skew = input({ value: '5m', required: true });
  section(main, 'Clock', h('div', { class: 'forms' },
    form('Advance', 'Moves lab time forward; on the way, tokens expire and files rotate in their order. Programs that use the machine’s clock see no change.', [field('By', by, 'A duration such as 90s, 48m or 25h.')], 'Advance', () => ['wiemu', 'clock', 'advance', by.value.trim() || 'DURATION'], () => tick('advance', { by: by.value.trim() })),
    form('Set', 'Moves lab time forward to a moment.', [field('To', to, 'UTC; lab time never goes back.')], 'Set', () => ['wiemu', 'clock', 'set', to.value.trim() || 'TIME'], () => tick('set', { to: to.value.trim() })),
    form('Speed', 'Lets lab time run faster than the machine’s clock. 1 is as fast, also after Freeze.', [field('Times as fast', speed, '600: ten minutes pass in a second.')], 'Run', () => ['wiemu', 'clock', 'speed', speed.value.trim() || 'NUMBER'], () => {
      const rate = Number(speed.value);
      if (!speed.value.trim() || Number.isNaN(rate)) throw new Error(`Expected a number such as 600, found ${speed.value}.`);
      return tick('speed', { speed: rate });
    }),
    form('Freeze', 'Lets lab time stand still. Speed 1 lets it go on.', [], 'Freeze', () => ['wiemu', 'clock', 'freeze'], () => tick('freeze', {})),
    form('Skew', 'Makes the clock of one part of the lab wrong.', [field('Part', part, ''), field('By', skew, 'Such as 5m or -5m; 0s corrects it.')], 'Skew', () => ['wiemu', 'clock', 'skew', part.value, skew.value.trim() || 'DURATION'], () => tick('skew', { part: part.value, by: skew.value.trim() }))));
  let known = '';
  const issuers = () => {
    const names = (status.value?.issuers ?? []).map((i) => i.name);
    if (names.join(' ') === known) return;
    known = names.join(' ');
    part.append(...names.filter((n) => ![...part.options].some((o) => o.value === n)).map((n) => h('option', { value: n }, `${n} (issuer)`)));
  };
  issuers();
  return status.listen(issuers);
}

function keys(main) {
  const list = h('div', {});
  const ring = select([], {});
  const which = select([], {});
  const what = select([['publish', 'Publish the next key, which does not sign yet'], ['rotate', 'Rotate: the next key signs'], ['remove', 'Remove a key from the JWKS']], {});
  const key = field('Key', which, 'A rotation goes well if the next key is published for a while before it signs, and the old one is removed only when its tokens have expired.');
  const change = form('Change keys', '', [field('Key ring', ring, ''), field('What', what, ''), key], 'Publish', () => ['wiemu', 'keys', what.value, ring.value, ...(what.value === 'remove' && which.value !== 'retired' ? [which.value] : [])].filter((w) => w !== ''), async () => {
    const k = await ask('POST', `/v1/keys/${encodeURIComponent(ring.value)}/${what.value}`, what.value === 'remove' ? { key: which.value } : {});
    await status.refresh();
    return `Key ${k.kid} of ${k.ring} is ${k.stage}.`;
  });
  let known = '';
  const draw = () => {
    const all = status.value?.keys ?? [];
    const now = JSON.stringify(all);
    if (now === known) return;
    known = now;
    list.replaceChildren(table('Signing keys', ['Key ring', 'kid', 'Stage'], all.map((k) => [k.ring, h('code', {}, k.kid), h('span', {}, badge(k.stage === 'signing' ? 'good' : 'quiet', k.stage), k.unpublished ? [' ', badge('bad', 'not published')] : null)])));
    const at = ring.value;
    ring.replaceChildren(...[...new Set(all.map((k) => k.ring))].map((r) => h('option', { value: r }, r)));
    if ([...ring.options].some((o) => o.value === at)) ring.value = at;
    choices();
  };
  const choices = () => {
    key.hidden = what.value !== 'remove';
    change.call({ publish: 'Publish', rotate: 'Rotate', remove: 'Remove' }[what.value]);
    const at = which.value;
    which.replaceChildren(h('option', { value: 'retired' }, 'the oldest retired key'), ...(status.value?.keys ?? []).filter((k) => k.ring === ring.value).map((k) => h('option', { value: k.kid }, `${k.kid} (${k.stage})`)));
    if ([...which.options].some((o) => o.value === at)) which.value = at;
    change.update();
  };
  what.addEventListener('change', choices);
  ring.addEventListener('change', choices);
  section(main, 'Keys', list, h('div', { class: 'forms' }, change));
  draw();
  return status.listen(draw);
}

const limits = [['nth', 'First call', 'which call is hit first; 1 if empty'], ['every', 'Every', 'only every so many calls'], ['count', 'Count', 'how many calls; no limit if empty'], ['after', 'After', 'lab time until it begins, such as 10m'], ['until', 'Until', 'lab time until it ends'], ['probability', 'Probability', 'share of the calls, such as 0.022'], ['seed', 'Seed', 'the same seed hits the same calls']];

function faults(main) {
  const active = h('div', {});
  const said = outcome();
  const kind = select([], { required: true });
  const about = h('p', { class: 'hint' });
  const settings = h('div', { class: 'row2' });
  const more = h('div', { class: 'row2' });
  let kinds = [];
  let inputs = { parameters: {}, for: {}, when: {} };
  const read = (of) => Object.fromEntries(Object.entries(inputs[of]).map(([n, c]) => [n, c.value.trim()]).filter(([, v]) => v !== ''));
  const body = () => {
    const when = read('when');
    for (const name of ['nth', 'every', 'count', 'probability', 'seed']) if (name in when) when[name] = Number(when[name]);
    return { name: kind.value, parameters: read('parameters'), for: read('for'), when };
  };
  const inject = form('Inject a fault', '', [field('Fault', kind, ''), about, settings, h('details', {}, h('summary', {}, 'Which calls, and when'), more)], 'Inject', () => {
    const b = { parameters: read('parameters'), for: read('for'), when: read('when') };
    return ['wiemu', 'fault', 'inject', kind.value || 'NAME', ...Object.entries(b.for).flatMap(([n, v]) => ['--for', `${n}=${v}`]), ...Object.entries(b.when).flatMap(([n, v]) => [`--${n}`, v]), ...Object.entries(b.parameters).map(([n, v]) => `${n}=${v}`)];
  }, async () => {
    const made = await ask('POST', '/v1/faults', body());
    await draw();
    return `Fault ${made.id} is injected${made.seed ? `, with seed ${made.seed}` : ''}.`;
  });
  const choose = () => {
    const k = kinds.find((o) => o.name === kind.value);
    if (!k) return;
    inputs = { parameters: {}, for: {}, when: {} };
    about.textContent = `${k.summary[0].toUpperCase()}${k.summary.slice(1)}. ${k.description}`;
    settings.replaceChildren(...(k.parameters ?? []).map((p) => {
      const c = p.type === 'choice' ? select(p.values, {}) : input({ placeholder: p.default });
      if (p.type === 'choice') c.value = p.default;
      inputs.parameters[p.name] = c;
      return field(p.name, c, p.description);
    }));
    more.replaceChildren(...(k.selects ?? []).map((s) => field(`for ${s}`, inputs.for[s] = input({}), { client: 'client ID or name', issuer: 'URL or name', kid: 'of the assertion', resource: 'entra, keyvault, graph, … or a name', workload: 'namespace/service account, or a component' }[s] ?? '')),
      ...limits.map(([n, label, hint]) => field(label, inputs.when[n] = input({}), hint)));
    inject.update();
  };
  kind.addEventListener('change', choose);
  const clear = async (path, words) => {
    try {
      await ask('DELETE', path);
      said.say('good', words);
      await draw();
    } catch (err) {
      said.say('bad', err.message);
    }
  };
  const draw = async () => {
    let all;
    try {
      all = (await ask('GET', '/v1/faults')).active ?? [];
    } catch (err) {
      said.say('bad', err.message);
      return;
    }
    active.replaceChildren(all.length ? h('div', {}, table('Faults', ['Id', 'Fault', 'Hit', 'Since', ''], all.map((f) => [f.id, h('span', {}, h('strong', {}, f.name), ' ', h('code', {}, describe(f)), f.spent ? [' ', badge('quiet', 'spent')] : null),
      `${f.hits} of ${f.calls} calls`, time(f.since), h('button', { type: 'button', 'aria-label': `Clear ${f.id}`, onclick: () => clear(`/v1/faults/${encodeURIComponent(f.id)}`, `Fault ${f.id} is cleared.`) }, 'Clear')])),
    h('p', { class: 'actions' }, h('button', { type: 'button', onclick: () => clear('/v1/faults', 'All faults are cleared.') }, 'Clear all'))) : h('p', { class: 'empty' }, 'No fault is injected.'));
  };
  ask('GET', '/v1/faults/kinds').then((all) => {
    kinds = all;
    kind.append(...all.map((k) => h('option', { value: k.name }, `${k.name}: ${k.summary}`)));
    choose();
  }, (err) => said.say('bad', err.message));
  section(main, 'Faults', active, said, h('div', { class: 'forms' }, inject));
  return whenChanged((e) => e.kind === 'fault' || Boolean(e.detail?.fault), draw);
}

function describe(f) {
  return [...Object.entries(f.parameters ?? {}).map(([n, v]) => `${n}=${v}`), ...Object.entries(f.for ?? {}).map(([n, v]) => `--for ${n}=${v}`), ...Object.entries(f.when ?? {}).map(([n, v]) => `--${n} ${v}`)].join(' ');
}

function move(main) {
  const who = select([], { required: true });
  const to = select([], { required: true });
  let all = [];
  const of = () => all[Number(who.value)];
  const f = form('Move a workload to another issuer', 'As when an application moves to another cluster. Its token file gets a token of the other issuer; nothing trusts that one yet unless a federated credential does.', [field('Workload', who, ''), field('Issuer', to, '')], 'Move',
    () => ['wiemu', 'move', '--namespace', of()?.namespace ?? 'NAMESPACE', '--service-account', of()?.serviceAccount ?? 'NAME', '--to', to.value || 'ISSUER'], async () => {
      const moved = await ask('POST', '/v1/workloads/move', { namespace: of().namespace, serviceAccount: of().serviceAccount, issuer: to.value });
      return `${moved.length} pod${moved.length === 1 ? '' : 's'} moved from ${moved[0].from} to ${moved[0].to}.`;
    });
  section(main, 'Issuer of a workload', h('div', { class: 'forms' }, f));
  const draw = () => {
    const at = to.value;
    to.replaceChildren(...(status.value?.issuers ?? []).map((i) => h('option', { value: i.name }, `${i.name} (${i.url})`)));
    if ([...to.options].some((o) => o.value === at)) to.value = at;
    f.update();
  };
  draw();
  let known = '';
  const end = status.listen(() => {
    const now = JSON.stringify(status.value?.issuers);
    if (now !== known) draw();
    known = now;
  });
  ask('GET', '/v1/workloads/trust').then((found) => {
    all = found;
    who.append(...all.map((w, n) => h('option', { value: String(n) }, `${w.component || w.serviceAccount} (${w.namespace})`)));
    f.update();
  }, () => {});
  return end;
}

function revoke(main) {
  const who = select([], { required: true });
  const everywhere = h('input', { type: 'checkbox' });
  const f = form('Revoke sessions', 'Refuses the access tokens that were given out until now. In Azure, Microsoft Graph alone does this, to applications.', [field('Identity', who, ''), h('p', {}, h('label', { class: 'check' }, everywhere, ' At every resource, not only Microsoft Graph'))], 'Revoke',
    () => ['wiemu', 'revoke', who.value || 'IDENTITY', ...(everywhere.checked ? ['--everywhere'] : [])], async () => {
      const changed = await ask('POST', '/v1/directory', { identity: who.value, revoked: true, everywhere: everywhere.checked });
      return `${changed.summary}.`;
    });
  section(main, 'Sessions', h('div', { class: 'forms' }, f));
  return whenChanged((e) => e.kind === 'directory', async () => {
    try {
      const tenants = await ask('GET', '/v1/directory');
      const at = who.value;
      who.replaceChildren(...tenants.flatMap((t) => t.identities).map((i) => h('option', { value: i.clientId }, `${i.name} (${i.clientId})`)));
      if ([...who.options].some((o) => o.value === at)) who.value = at;
      f.update();
    } catch {
      return; // the connection says so
    }
  });
}
