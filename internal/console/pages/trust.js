// Trust: app registrations and managed identities as the Azure portal shows them, their
// federated credentials, and the form that adds one.
import { badge, copyable, facts, field, h, input, newId, outcome, select, table, time, unlessSame } from './dom.js';
import { ask, status, whenChanged } from './lab.js';
import { isUntrusted } from './workloads.js';


export function show(main, [clientId, what], query) {
  const body = h('div', {});
  main.append(body);
  if (clientId && what === 'add') return add(body, clientId, query);
  const draw = clientId ? identity(body, clientId) : list(body);
  return whenChanged((e) => e.kind === 'directory', draw);
}

const kinds = { application: 'App registration', managedIdentity: 'Managed identity' };

// identities are those of all tenants, with the workloads that use them: their names, and whether
// they are not trusted.
async function identities() {
  const [tenants, workloads] = await Promise.all([ask('GET', '/v1/directory'), ask('GET', '/v1/workloads/trust')]);
  const usedBy = (i) => {
    const names = new Map();
    for (const w of workloads) {
      const name = `${w.component || w.serviceAccount} (${w.namespace})`;
      if (w.clientId === i.clientId) names.set(name, names.get(name) || isUntrusted(w));
    }
    return [...names];
  };
  return tenants.flatMap((t) => t.identities.map((i) => ({ ...i, tenant: t, usedBy: usedBy(i) })));
}

// users are the workloads that use an identity, and which of them it does not trust.
const users = (i) => i.usedBy.length ? h('span', {}, i.usedBy.map(([name, untrusted], n) => [n ? ', ' : '', name, untrusted ? [' ', badge('bad', 'not trusted')] : null])) : '';

function failed(body, err) { body.replaceChildren(h('p', { class: 'outcome bad' }, err.message)); }

function list(body) {
  const draw = unlessSame((all) => {
    const tenants = [...new Map(all.map((i) => [i.tenant.id, i.tenant])).values()];
    body.replaceChildren(h('h1', {}, 'Trust'),
      h('p', { class: 'lead' }, 'App registrations and managed identities with their federated credentials: which service accounts of which clusters get access tokens for them.'),
      ...(all.length ? tenants.map((t) => h('section', { class: 'identities' }, h('h2', {}, `Tenant ${t.displayName || t.domains?.[0] || t.id}`),
        table('Identities', ['Display name', 'Kind', 'Client ID', 'Federated credentials', 'Used by'], all.filter((i) => i.tenant.id === t.id).map((i) => [
          h('a', { href: `#/trust/${encodeURIComponent(i.clientId)}` }, i.name), h('span', {}, kinds[i.kind] ?? i.kind, i.disabled ? [' ', badge('bad', 'disabled')] : null),
          h('code', {}, i.clientId), String(i.federatedCredentials.length), users(i)])))) :
        [h('p', { class: 'empty' }, 'No tenant has an identity yet. One is made when a workload uses its client ID.')]));
  });
  return async () => {
    try {
      draw(await identities());
    } catch (err) {
      failed(body, err);
    }
  };
}

function identity(body, clientId) {
  const said = outcome();
  const redraw = unlessSame((i, roles) => {
    if (!i) {
      body.replaceChildren(h('h1', {}, 'Trust'), h('p', { class: 'empty' }, 'No tenant has this identity any more. ', h('a', { href: '#/trust' }, 'All identities')));
      return;
    }
    body.replaceChildren(h('p', { class: 'crumb' }, h('a', { href: '#/trust' }, 'Trust')), h('h1', {}, i.name, ' ', i.disabled ? badge('bad', 'disabled') : null), essentials(i),
      h('div', { class: 'head' }, h('h2', {}, 'Federated credentials'), h('a', { class: 'button', href: `#/trust/${encodeURIComponent(clientId)}/add?${new URLSearchParams({ tenant: i.tenant.id })}` }, 'Add credential')), said,
      ...[credentials(i, said, draw), secrets(i), assignments(roles.assignments)].filter(Boolean));
  });
  const draw = async () => {
    try {
      const i = (await identities()).find((o) => o.clientId === clientId);
      redraw(i, i && await ask('GET', `/v1/roles?${new URLSearchParams({ identity: clientId, scope: '' })}`).catch(() => ({ assignments: [] })));
    } catch (err) {
      failed(body, err);
    }
  };
  return draw;
}

function essentials(i) {
  const app = i.kind === 'application';
  return facts([
    ['Kind', kinds[i.kind] ?? i.kind],
    [app ? 'Application (client) ID' : 'Client ID', copyable(i.clientId, 'client ID')],
    [app ? 'Object ID of the service principal' : 'Object (principal) ID', copyable(i.objectId, 'object ID')],
    ['Directory (tenant) ID', copyable(i.tenant.id, 'tenant ID')],
    ['Resource ID', i.resourceId ? copyable(i.resourceId, 'resource ID') : ''],
    ['Used by', users(i)],
  ]);
}

function credentials(i, said, draw) {
  if (!i.federatedCredentials.length) return h('p', { class: 'empty' }, 'It has no federated credential: no token of a cluster is accepted for it.');
  return table('Federated credentials', ['Name', 'Issuer', 'Subject identifier', 'Audience', ''], i.federatedCredentials.map((c) => [
    h('strong', {}, c.name), h('code', {}, c.issuer), h('code', {}, c.claimsMatchingExpression || c.subject), h('code', {}, c.audience), remover(i, c, said, draw)]));
}

// remover asks once more before it deletes.
function remover(i, c, said, draw) {
  const cell = h('span', { class: 'actions' });
  const ask1 = h('button', { type: 'button', 'aria-label': `Delete ${c.name}`, onclick: () => {
    cell.replaceChildren(sure, no);
    sure.focus();
  } }, 'Delete');
  const no = h('button', { type: 'button', onclick: () => {
    cell.replaceChildren(ask1);
    ask1.focus();
  } }, 'Keep');
  const sure = h('button', { type: 'button', class: 'danger', 'aria-label': `Really delete ${c.name}`, onclick: async () => {
    try {
      const changed = await ask('POST', '/v1/directory', { tenant: i.tenant.id, identity: i.clientId, removeFederatedCredential: c.name });
      said.say('good', `${changed.summary}.`);
      await draw();
    } catch (err) {
      said.say('bad', err.message);
    }
  } }, 'Really delete');
  cell.append(ask1);
  return cell;
}

function secrets(i) {
  const all = [
    ...(i.secrets ?? []).map((s) => ['Client secret', s.displayName || s.id, s.hint ? `${s.hint}…` : 'not shown', time(s.end) || 'never']),
    ...(i.certificates ?? []).map((c) => ['Certificate', c.subject, h('code', {}, c.thumbprint.slice(0, 16), '…'), time(c.end) || 'never']),
  ];
  if (!all.length) return null;
  return h('section', {}, h('h2', {}, 'Certificates & secrets'), table('Certificates and secrets', ['Kind', 'Description', 'Hint or thumbprint', 'Expires'], all));
}

function assignments(all) {
  return h('section', {}, h('h2', {}, 'Azure role assignments'), all?.length ?
    table('Azure role assignments', ['Role', 'Scope'], all.map((a) => [h('span', {}, a.role, a.removed ? ' (removed; it counts a little longer)' : ''), h('code', {}, a.scope)])) :
    h('p', { class: 'empty' }, 'None. Vaults and accounts may let it in by access of their own.'));
}

const kubernetes = 'Kubernetes accessing Azure resources';
const other = 'Other issuer';

// add is the portal's page Add credential.
// Source: entra-docs, workload-identity-federation-create-trust.md (the scenario's fields and
// what is said of them); the limits are the directory's, which refuses what does not fit.
function add(body, clientId, query) {
  const scenario = select([kubernetes, other], {});
  const issuer = input({ required: true, value: query.get('issuer') ?? '', inputmode: 'url' });
  const namespace = input({ required: true, value: query.get('namespace') ?? '' });
  const account = input({ required: true, value: query.get('account') ?? '' });
  const subject = input({ required: true, readonly: true });
  const name = input({ required: true, value: query.get('name') ?? '' });
  const description = input({});
  const audience = input({ value: query.get('audience') ?? status.value?.audience ?? '' });
  const fields = {
    issuer: field('Cluster issuer URL', issuer, 'The OIDC issuer URL of the cluster, to the letter, with the slash at its end if it has one.'),
    namespace: field('Namespace', namespace, 'The namespace of the service account.'),
    account: field('Service account name', account, 'The Kubernetes service account, which gives the processes of a pod their identity.'),
    subject: field('Subject identifier', subject, ''),
    name: field('Name', name, "The name of the federated credential, which can't be changed later."),
    description: field('Description', description, ''),
    audience: field('Audience', audience, 'The aud of the tokens. Leave it as it is unless the workload asks for another one.'),
  };
  const said = outcome();
  const heading = h('h2', {}, 'Connect your Kubernetes cluster');
  const hint = h('p', { class: 'hint', id: newId() }, 'Generated from the namespace and the service account name.');
  fields.subject.append(hint);
  const change = () => {
    const k = scenario.value === kubernetes;
    heading.textContent = k ? 'Connect your Kubernetes cluster' : 'Connect your account';
    fields.namespace.hidden = fields.account.hidden = hint.hidden = !k;
    namespace.required = account.required = k;
    subject.readOnly = k;
    fields.issuer.querySelector('label').firstChild.textContent = k ? 'Cluster issuer URL' : 'Issuer';
    if (k) subject.value = `system:serviceaccount:${namespace.value.trim()}:${account.value.trim()}`;
  };
  const form = h('form', { novalidate: true, oninput: change, onchange: change, onsubmit: async (e) => {
    e.preventDefault();
    for (const f of Object.values(fields)) f.refuse('');
    said.say('', '');
    const empty = Object.values(fields).filter((f) => {
      const control = f.querySelector('input');
      if (f.hidden || !control.required || control.value.trim()) return false;
      f.refuse('This field is required.');
      return true;
    });
    if (empty.length) {
      empty[0].querySelector('input').focus();
      return;
    }
    try {
      await ask('POST', '/v1/directory', { tenant: query.get('tenant') ?? '', identity: clientId, addFederatedCredential: {
        name: name.value, issuer: issuer.value, subject: subject.value, audience: audience.value, description: description.value } });
      location.hash = `#/trust/${encodeURIComponent(clientId)}`;
    } catch (err) {
      refused(err);
    }
  } },
  field('Federated credential scenario', scenario, ''),
  heading, fields.issuer, fields.namespace, fields.account, fields.subject,
  h('h2', {}, 'Credential details'), fields.name, fields.description, fields.audience,
  said, h('p', { class: 'actions' }, h('button', { type: 'submit', class: 'primary' }, 'Add'), ' ', h('a', { class: 'button', href: `#/trust/${encodeURIComponent(clientId)}` }, 'Cancel')));

  // refused shows what the directory refuses beside the field that it is about.
  const refused = (err) => {
    const rest = [];
    for (const r of err.fields ?? []) {
      const f = fields[r.field.split('.').pop()];
      const text = `Expected ${r.expected}; found ${r.found}.`;
      if (f) f.refuse(text);
      else rest.push(text);
    }
    said.say('bad', err.fields?.length && !rest.length ? 'The credential was not added: see the fields marked above.' : rest.join(' ') || err.message);
    form.querySelector('[aria-invalid]')?.focus();
  };

  const pick = select([['', 'Choose a workload…']], { 'aria-label': 'Fill in from a workload' });
  const where = h('span', {}, clientId);
  body.append(h('p', { class: 'crumb' }, h('a', { href: '#/trust' }, 'Trust'), ' / ', h('a', { href: `#/trust/${encodeURIComponent(clientId)}` }, where)),
    h('h1', {}, 'Add a credential'),
    h('p', { class: 'lead' }, 'Lets a Kubernetes service account get access tokens in the name of this identity, without a secret.'),
    h('p', { class: 'pick' }, 'Fill in from ', pick), form);
  change();
  identities().then((all) => {
    const i = all.find((o) => o.clientId === clientId);
    if (!i) return;
    where.textContent = i.name;
    fields.description.hidden = i.kind === 'managedIdentity'; // which has none: its credentials are resources of ARM
  }, () => {});
  ask('GET', '/v1/workloads/trust').then((all) => {
    pick.append(...all.filter((w) => w.presentsToken).map((w, n) => h('option', { value: String(n + 1) }, `${w.component || w.serviceAccount} (${w.namespace})`)));
    const usable = all.filter((w) => w.presentsToken);
    pick.addEventListener('change', () => {
      const w = usable[Number(pick.value) - 1];
      if (!w) return;
      [issuer.value, namespace.value, account.value, name.value, audience.value] = [w.issuer, w.namespace, w.serviceAccount, w.suggestedName, w.audience];
      change();
    });
  }, () => {});
  return null;
}
