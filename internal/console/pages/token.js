// Token: what a token says, in plain words, and whom it would meet. It is sent to the lab of
// this machine alone, and forgotten when the page is left.
import { badge, field, h, outcome, select, span, table } from './dom.js';
import { ask, status } from './lab.js';
import { checks, reasons } from './explain.js';


// What claims mean. Sources: RFC 7519 §4.1; entra-docs, access-token-claims-reference.md;
// Kubernetes, managing service accounts.
const meanings = {
  iss: 'issuer: who signed it, and where its keys are published',
  sub: 'subject: whom it is about',
  aud: 'audience: whom it is meant for; anybody else refuses it',
  exp: 'expires', nbf: 'not valid before', iat: 'issued',
  jti: 'ID of this token, by which events name it',
  uti: 'ID of this token, by which events and sign-in logs name it',
  'kubernetes.io': 'the pod, service account and namespace that it was made for',
  tid: 'tenant',
  oid: 'object ID of the service principal: what roles are assigned to',
  appid: 'client ID of whoever got it', azp: 'client ID of whoever got it',
  roles: 'application permissions', scp: 'delegated permissions', wids: 'directory roles',
  ver: 'format of the token', idtyp: 'app: it is an application and not a user',
  idp: 'who authenticated it', xms_mirid: 'Azure resource ID of the managed identity',
  appidacr: 'how the client authenticated: 1 by a secret, 2 by a certificate or an assertion',
  azpacr: 'how the client authenticated: 1 by a secret, 2 by a certificate or an assertion',
  app_displayname: 'display name of the client',
  rh: 'for Entra ID alone', aio: 'for Entra ID alone', xms_idrel: 'for Entra ID alone',
  alg: 'how it is signed', kid: 'ID of the key that signed it', typ: 'type', x5t: 'thumbprint of the certificate of the key',
};

const moments = ['exp', 'nbf', 'iat'];

export function show(main) {
  const text = h('textarea', { rows: '6', autocomplete: 'off', spellcheck: 'false', 'aria-required': 'true', placeholder: 'eyJ…' });
  const who = select([['', 'The identity with the nearest one']], {});
  const pick = select([['', 'Choose a workload…']], {});
  const said = outcome();
  const result = h('div', {});
  const at = { paste: field('Token', text, 'A service-account token or an access token. It does not leave this machine, is not stored, and is not written to the journal.'), who: field('Check it against the federated credentials of', who, ''), pick: field('Or issue a new service-account token for', pick, '') };
  const inspect = async () => {
    at.paste.refuse('');
    said.say('', '');
    result.replaceChildren();
    if (!text.value.trim()) {
      at.paste.refuse('Paste a token, or choose a workload.');
      text.focus();
      return;
    }
    try {
      const seen = await ask('POST', '/v1/tokens/inspect', { token: text.value, identity: who.value });
      result.replaceChildren(...shown(seen).filter(Boolean));
    } catch (err) {
      if (err.field === 'token') {
        at.paste.refuse(err.message);
        text.focus();
      } else {
        said.say('bad', err.message);
      }
    }
  };
  main.append(h('h1', {}, 'Token'), h('p', { class: 'lead' }, 'What a token says, how long it lives on the lab clock, whether its signature is good, and whether Entra ID would accept it for an identity.'),
    h('form', { class: 'token', novalidate: true, onsubmit: (e) => {
      e.preventDefault();
      inspect();
    } }, at.paste, h('div', { class: 'row2' }, at.pick, at.who), h('p', { class: 'actions' }, h('button', { type: 'submit', class: 'primary' }, 'Inspect'))), said, result);

  let known = [];
  ask('GET', '/v1/workloads/trust').then((all) => {
    known = all;
    pick.append(...all.map((w, n) => h('option', { value: String(n + 1) }, `${w.component || w.serviceAccount} (${w.namespace})`)));
  }, (err) => said.say('bad', err.message));
  ask('GET', '/v1/directory').then((tenants) => who.append(...tenants.flatMap((t) => t.identities).map((i) => h('option', { value: i.clientId }, `${i.name} (${i.clientId})`))), () => {});
  pick.addEventListener('change', async () => {
    const w = known[Number(pick.value) - 1];
    if (!w) return;
    try {
      text.value = (await ask('POST', '/v1/tokens', { issuer: w.issuerName, namespace: w.namespace, serviceAccount: w.serviceAccount, audiences: [w.audience], expirationSeconds: 0 })).token;
      who.value = [...who.options].some((o) => o.value === w.clientId) ? w.clientId : '';
      await inspect();
    } catch (err) {
      said.say('bad', err.message);
    }
  });
  return () => { text.value = ''; };
}

function shown(seen) {
  return [
    h('h2', {}, 'Lifetime'), lifetime(seen),
    h('h2', {}, 'Signature'), h('p', {}, badge({ passed: 'good', failed: 'bad' }[seen.signature.outcome] ?? 'quiet', { passed: 'good', failed: 'not good', skipped: 'not checked' }[seen.signature.outcome]), ' ', seen.signature.note),
    seen.trust ? h('section', {}, h('h2', {}, 'The trust that it would meet'), met(seen)) : h('p', { class: 'hint' }, 'It is no assertion that Entra ID would take: no federated credential is asked about it.'),
    h('h2', {}, 'Header'), claims('Header', seen.header),
    h('h2', {}, 'Claims'), claims('Claims', seen.claims),
  ];
}

function met(seen) {
  const e = seen.trust;
  const failed = (e.checks ?? []).some((c) => c.outcome === 'failed');
  return [
    h('p', {}, badge(failed ? 'bad' : 'good', failed ? `refused${e.code ? ` with AADSTS${e.code}` : ''}` : 'granted'), ` as ${seen.identity} (${seen.clientId}).`, failed ? ` ${e.summary}` : ' Every check passes.'),
    ...(failed ? reasons(e) : [h('details', {}, h('summary', {}, `All ${e.checks?.length ?? 0} checks, in the order they were made`), checks(e.checks ?? []))]),
  ];
}

function lifetime(seen) {
  const c = seen.claims;
  const now = Date.parse(seen.now) / 1000;
  if (typeof c.exp !== 'number') return h('p', {}, 'It has no exp claim, so Entra ID refuses it.');
  const from = c.nbf ?? c.iat ?? c.exp;
  const words = now >= c.exp ? `It expired ${span(now - c.exp)} ago.` : now < from ? `It is valid in ${span(from - now)}.` : `It expires in ${span(c.exp - now)}.`;
  const meter = h('progress', { max: String(Math.max(1, c.exp - from)), value: String(Math.max(0, Math.min(c.exp - from, now - from))), 'aria-label': 'How much of its life is over' });
  return h('div', {}, h('p', {}, badge(now >= c.exp || now < from ? 'bad' : 'good', now >= c.exp ? 'expired' : now < from ? 'not valid yet' : 'valid'), ` ${words} It lives ${span(c.exp - from)}, on the lab clock.`), meter);
}

function claims(caption, all) {
  return table(caption, ['Name', 'Value', 'What it means'], Object.entries(all).map(([name, value]) => {
    const words = moments.includes(name) && typeof value === 'number' ? `${meanings[name]}: ${moment(value)}` : meanings[name] ?? '';
    return [h('code', { class: 'name' }, name), h('code', { class: 'value' }, typeof value === 'string' ? value : JSON.stringify(value, null, 1)), words];
  }));
}

function moment(seconds) {
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.valueOf())) return 'no time';
  const apart = seconds - status.now() / 1000;
  return `${at.toISOString().replace('T', ' ').replace('.000Z', ' UTC')}, ${Math.abs(apart) < 1 ? 'now' : apart > 0 ? `in ${span(apart)}` : `${span(apart)} ago`}`;
}
