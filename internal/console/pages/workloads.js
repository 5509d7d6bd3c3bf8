// Workloads: what the Radix console shows of an identity, and the trust that it meets here.
import { badge, copyable, facts, h, held, outcome, time, unlessSame } from './dom.js';
import { ask, events, isRefusal, outcomeOf, whenChanged } from './lab.js';


export function show(main) {
  const list = h('div', { class: 'cards' });
  const said = outcome();
  said.tabIndex = -1;
  main.append(h('h1', {}, 'Workloads'),
    h('p', { class: 'lead' }, 'Components, jobs and pods with the identity that they use, as the Radix console shows it. A workload gets an access token if a federated credential of its identity has the same issuer, subject and audience, to the letter. All of it is in this lab: nothing here reads or changes Azure.'),
    add(() => read()), said, list);
  let shown = [];
  let cards = [];
  const redraw = unlessSame(() => {
    cards = shown.map((w) => card(w, said));
    list.replaceChildren(...(shown.length ? grouped(shown, cards) : [none()]));
  });
  const draw = () => {
    if (pressed()) return;
    redraw(shown);
    for (const c of cards) c.update();
  };
  const pressed = held(list, draw);
  const read = async () => {
    try {
      shown = await ask('GET', '/v1/workloads/trust');
      draw();
    } catch (err) {
      list.replaceChildren(h('p', { class: 'outcome bad' }, err.message));
    }
  };
  const end = whenChanged((e) => ['directory', 'run', 'projection', 'admission'].includes(e.kind), read);
  const endLast = whenChanged((e) => e.kind === 'exchange', () => shown.length && draw());
  return () => {
    end();
    endLast();
  };
}

function none() {
  return h('p', { class: 'empty' }, 'There is no workload yet. Name a radixconfig.yaml or Kubernetes manifests with wiemu serve -f, or start one with wiemu run.');
}

// grouped are the cards of workloads by application and environment, first those without trust.
function grouped(all, cards) {
  const groups = new Map();
  all.forEach((w, n) => {
    const name = w.environment ? `${w.application ? `${w.application} in ` : ''}${w.environment}` : `Namespace ${w.namespace}`;
    groups.set(name, [...(groups.get(name) ?? []), cards[n]]);
  });
  return [...groups].map(([name, members]) => h('section', { class: 'group' }, h('h2', {}, name), members.sort((a, b) => b.refused - a.refused)));
}

// Adding files: what wiemu serve -f reads, from the browser.
function add(added) {
  const said = outcome();
  const file = h('input', { type: 'file', multiple: true, accept: '.yaml,.yml', id: 'workload-files', onchange: async () => {
    if (!file.files.length) return;
    said.say('', '');
    try {
      const files = await Promise.all([...file.files].map(async (f) => ({ name: f.name, text: await f.text() })));
      const done = await ask('POST', '/v1/workloads/files', files);
      const n = done.workloads.length;
      said.say('good', [`${n === 1 ? '1 workload' : `${n} workloads`} of ${files.map((f) => f.name).join(', ')} added.`, ...(done.warnings ?? [])].join(' '));
      await added();
    } catch (err) {
      said.say('bad', err.message);
    }
    file.value = '';
  } });
  return h('div', { class: 'adding' }, h('p', { class: 'pick' }, h('label', { for: 'workload-files' }, 'Add workloads from a radixconfig.yaml or Kubernetes manifests'), file), said);
}

const roles = { component: 'component', job: 'job', oauth: 'OAuth2 proxy', subpipeline: 'sub-pipeline', trigger: 'KEDA trigger' };

// card shows a workload; its update shows how its last exchange has ended.
function card(w, said) {
  const end = last(w);
  const identity = w.identityName ? h('a', { href: `#/trust/${encodeURIComponent(w.clientId)}` }, w.identityName) : null;
  const e = h('article', { class: 'card', 'data-workload': `${w.namespace}/${w.serviceAccount}` },
    h('h3', {}, w.component || w.serviceAccount, ' ', w.role ? h('span', { class: 'role' }, roles[w.role] ?? w.role) : null, ' ', state(w)),
    facts([
      ['Client ID', copyable(w.clientId, 'client ID')],
      ['Identity', identity ? h('span', {}, identity, w.kind === 'managedIdentity' ? ' (managed identity)' : ' (app registration)') : w.clientId ? 'no tenant has this client ID' : ''],
      ['Cluster issuer URL', copyable(w.issuer, 'cluster issuer URL')],
      ['Namespace', copyable(w.namespace, 'namespace')],
      ['Service account', copyable(w.serviceAccount, 'service account')],
      ['Subject identifier', copyable(w.subject, 'subject identifier')],
      ['Audience', copyable(w.audience, 'audience')],
      ['Token file', w.tokenFile ? copyable(w.tokenFile, 'token file') : ''],
    ]),
    trust(w, said), end);
  e.update = end.update;
  e.refused = isUntrusted(w);
  return e;
}

function state(w) {
  if (!w.clientId) return badge('quiet', 'no identity');
  if (!w.presentsToken) return badge('quiet', 'uses no federated credential');
  if (!isUntrusted(w)) return badge('good', 'trusted');
  const fields = differing(w);
  return badge('bad', fields.length ? `not trusted: ${fields.join(' and ')} ${fields.length === 1 ? 'differs' : 'differ'}` : 'not trusted');
}

// differing are the fields in which a workload's tokens and the nearest credential differ.
const differing = (w) => [...new Set((w.nearest?.differences ?? []).map((d) => d.field))];

// isUntrusted reports whether a workload that presents tokens has no federated credential for them.
export const isUntrusted = (w) => Boolean(w.clientId && w.presentsToken && !w.matching);

function trust(w, said) {
  if (!w.clientId || !w.presentsToken) return null;
  if (w.matching) return h('p', { class: 'trust' }, 'Federated credential ', h('code', {}, w.matching), ' matches.');
  const add = w.identityName && h('a', { class: 'button', href: `#/trust/${encodeURIComponent(w.clientId)}/add?${new URLSearchParams({ issuer: w.issuer, namespace: w.namespace, account: w.serviceAccount, name: w.suggestedName, audience: w.audience, tenant: w.tenant })}` }, 'Add credential');
  if (!w.nearest) return h('div', { class: 'trust' }, h('p', {}, w.identityName ? 'The identity has no federated credential.' : 'The identity is made when the workload starts, unless it was deleted.'), add);
  return h('div', { class: 'trust' }, h('p', {}, 'No federated credential matches. The nearest is the credential ', h('code', {}, w.nearest.credential), ':'), differences(w.nearest), w.identityName && correct(w, said), ' ', add);
}

// correct changes the nearest federated credential to what the workload's tokens have.
function correct(w, said) {
  const all = w.nearest.differences ?? [];
  if (!all.every((d) => d.expected && d.presented)) return null; // an expression has no subject to change
  const to = Object.fromEntries(all.map((d) => [d.field, d.presented]));
  return h('button', { type: 'button', onclick: async () => {
    try {
      const changed = await ask('POST', '/v1/directory', { tenant: w.tenant, identity: w.clientId, federatedCredential: { name: w.nearest.credential, ...to } });
      said.say('good', `${changed.summary}.`);
      said.focus(); // the button goes when the page is drawn again
    } catch (err) {
      said.say('bad', err.message);
    }
  } }, `Change ${differing(w).join(' and ')} of ${w.nearest.credential}`);
}

// differences shows in what a token and the nearest federated credential differ.
export function differences(nearest) {
  return h('ul', { class: 'differences' }, (nearest.differences ?? []).map((d) => h('li', {},
    h('strong', {}, `${d.field} differs (${d.kind})`),
    facts([['Token', apart(d.presented, d.expected)], ['Credential', apart(d.expected, d.presented)], ['Fix', d.fix && `${d.fix[0].toUpperCase()}${d.fix.slice(1)}.`]]))));
}

// apart is a text in which what another one has not is marked: what is between the beginning and
// the end that both have.
function apart(text, other) {
  if (!text || !other) return h('code', {}, text || '(nothing)');
  const most = Math.min(text.length, other.length);
  let from = 0;
  while (from < most && text[from] === other[from]) from++;
  let end = 0;
  while (end < most - from && text.at(-1 - end) === other.at(-1 - end)) end++;
  return h('code', {}, text.slice(0, from), h('mark', {}, text.slice(from, text.length - end)), text.slice(text.length - end));
}

// last is how the workload's last exchange has ended. What it consists of stays when it is updated,
// and so does the focus.
function last(w) {
  const how = badge('', '');
  const when = document.createTextNode('');
  const why = h('a', {});
  const p = h('p', { class: 'last', hidden: true }, how, when, why);
  let shown = '';
  p.update = () => {
    const e = exchangeOf(w);
    if (!e || e.id === shown) return;
    shown = e.id;
    p.hidden = false;
    const bad = isRefusal(e);
    how.className = `badge ${bad ? 'bad' : 'good'}`;
    how.textContent = outcomeOf(e);
    when.data = ` last exchange, at ${time(e.time)} `;
    why.href = `#/live/${encodeURIComponent(e.id)}`;
    why.textContent = bad && e.code ? `AADSTS${e.code}: why?` : 'show';
  };
  return p;
}

const exchangeOf = (w) => events.all.findLast((o) => o.kind === 'exchange' && o.clientId === w.clientId && (!o.subject || o.subject === w.subject));
