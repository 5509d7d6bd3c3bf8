// Workloads: what the Radix console shows of an identity, and the trust that it meets here.
import { badge, copyable, facts, h, time, unlessSame } from './dom.js';
import { ask, events, isRefusal, whenChanged } from './lab.js';

export const title = 'Workloads';

export function show(main) {
  const list = h('div', { class: 'cards' });
  main.append(h('h1', {}, 'Workloads'),
    h('p', { class: 'lead' }, 'Components, jobs and pods with the identity that they use, as the Radix console shows it. A workload gets an access token if a federated credential of its identity has the same issuer, subject and audience, to the letter.'),
    list);
  let shown = [];
  const redraw = unlessSame(() => list.replaceChildren(...(shown.length ? grouped(shown) : [none()])));
  const draw = () => redraw(shown, shown.map((w) => exchangeOf(w)?.id));
  const end = whenChanged((e) => ['directory', 'run', 'projection', 'admission'].includes(e.kind), async () => {
    try {
      shown = await ask('GET', '/v1/workloads/trust');
      draw();
    } catch (err) {
      list.replaceChildren(h('p', { class: 'outcome bad' }, err.message));
    }
  });
  const endLast = whenChanged((e) => e.kind === 'exchange', () => shown.length && draw());
  return () => {
    end();
    endLast();
  };
}

function none() {
  return h('p', { class: 'empty' }, 'There is no workload yet. Name a radixconfig.yaml or Kubernetes manifests with wiemu serve -f, or start one with wiemu run.');
}

// grouped are the workloads by application and environment.
function grouped(all) {
  const groups = new Map();
  for (const w of all) {
    const name = w.environment ? `${w.application ? `${w.application} in ` : ''}${w.environment}` : `Namespace ${w.namespace}`;
    groups.set(name, [...(groups.get(name) ?? []), w]);
  }
  return [...groups].map(([name, members]) => h('section', { class: 'group' }, h('h2', {}, name), members.map(card)));
}

const roles = { component: 'component', job: 'job', oauth: 'OAuth2 proxy', subpipeline: 'sub-pipeline', trigger: 'KEDA trigger' };

function card(w) {
  const identity = w.identityName ? h('a', { href: `#/trust/${encodeURIComponent(w.clientId)}` }, w.identityName) : null;
  return h('article', { class: 'card', 'data-workload': `${w.namespace}/${w.serviceAccount}` },
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
    trust(w), last(w));
}

function state(w) {
  if (!w.clientId) return badge('quiet', 'no identity');
  if (!w.presentsToken) return badge('quiet', 'uses no federated credential');
  return w.matching ? badge('good', 'trusted') : badge('bad', 'not trusted');
}

function trust(w) {
  if (!w.clientId || !w.presentsToken) return null;
  if (w.matching) return h('p', { class: 'trust' }, 'Federated credential ', h('code', {}, w.matching), ' matches.');
  const add = w.identityName && h('a', { class: 'button', href: `#/trust/${encodeURIComponent(w.clientId)}/add?${new URLSearchParams({ issuer: w.issuer, namespace: w.namespace, account: w.serviceAccount, name: w.suggestedName, audience: w.audience })}` }, 'Add credential');
  if (!w.nearest) return h('div', { class: 'trust' }, h('p', {}, w.identityName ? 'The identity has no federated credential.' : 'The identity is made when the workload starts, unless it was deleted.'), add);
  return h('div', { class: 'trust' }, h('p', {}, 'No federated credential matches. The nearest is ', h('code', {}, w.nearest.credential), ':'), differences(w.nearest), add);
}

// differences shows in what a token and the nearest federated credential differ.
export function differences(nearest) {
  return h('ul', { class: 'differences' }, (nearest.differences ?? []).map((d) => h('li', {},
    h('strong', {}, `${d.field} differs (${d.kind})`),
    facts([['Token', h('code', {}, d.presented || '(nothing)')], ['Credential', h('code', {}, d.expected || '(nothing)')], ['Fix', d.fix]]))));
}

// last is how the workload's last exchange has ended.
function last(w) {
  const e = exchangeOf(w);
  if (!e) return null;
  return h('p', { class: 'last' }, isRefusal(e) ? badge('bad', 'refused') : badge('good', e.outcome), ' last exchange, at ', time(e.time), ' ', h('a', { href: `#/live/${encodeURIComponent(e.id)}` }, isRefusal(e) && e.code ? `AADSTS${e.code}: why?` : 'show'));
}

const exchangeOf = (w) => events.all.findLast((o) => o.kind === 'exchange' && o.clientId === w.clientId && (!o.subject || o.subject === w.subject));
