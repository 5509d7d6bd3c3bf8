// Why an event ended as it did: its checks, the nearest federated credential, what to change.
import { badge, copyable, facts, h, table, time } from './dom.js';
import { ask, isRefusal, outcomeOf } from './lab.js';
import { differences } from './workloads.js';

const marks = { passed: ['good', '✓ passed'], failed: ['bad', '✗ failed'], skipped: ['quiet', '– not made'] };

// checks is a table of the checks in the order in which they were made.
export function checks(all) {
  return table('Checks', ['Check', 'Outcome', 'Presented', 'Expected'], all.map((c) => [
    h('span', {}, c.name, c.note ? h('span', { class: 'note' }, c.note) : null), badge(...(marks[c.outcome] ?? ['quiet', c.outcome])),
    c.presented ? h('code', {}, c.presented) : '', c.expected ? h('code', {}, c.expected) : c.outcome === 'passed' ? 'the same' : '']));
}

// reasons are the parts of an explanation that an event has itself: what failed and what to
// change first, then every check.
export function reasons(e) {
  const all = e.checks ?? [];
  const failed = all.filter((c) => c.outcome === 'failed');
  return [
    failed.length ? h('section', {}, h('h3', {}, failed.length === 1 ? 'The check that failed' : 'The checks that failed'), checks(failed)) : null,
    e.nearest?.differences?.length ? h('section', {}, h('h3', {}, 'Nearest federated credential: ', h('code', {}, e.nearest.credential)), differences(e.nearest)) : null,
    e.meaning ? h('section', {}, h('h3', {}, 'What it means'), h('p', {}, e.meaning)) : null,
    e.remedy ? h('section', {}, h('h3', {}, 'What to change'), h('p', {}, e.remedy)) : null,
    all.length ? h('details', { open: !failed.length }, h('summary', {}, `All ${all.length} checks, in the order they were made`), checks(all)) : null,
  ];
}

// explained shows an event: first why it was refused, in a sentence, if it was. The lab is
// asked for what only it knows; until it answers, and if it has forgotten the event, the
// page shows what the event itself says.
export function explained(e) {
  const diagnosis = h('p', { class: 'diagnosis' });
  const remark = h('p', {}, e.detail?.remark ? `On purpose: ${e.detail.remark}` : '');
  const chain = h('section', { hidden: true });
  ask('GET', `/v1/events/${encodeURIComponent(e.id)}`).then((x) => {
    diagnosis.textContent = x.diagnosis ? `${x.diagnosis.replace(/\.$/, '')}.` : '';
    remark.hidden = Boolean(x.diagnosis); // which says it
    if (x.chain?.length > 1) {
      chain.hidden = false;
      chain.append(h('h3', {}, "The token's way"), h('ol', { class: 'chain' }, x.chain.map((c) => h('li', {},
        h('a', { href: `#/live/${encodeURIComponent(c.id)}`, 'aria-current': c.id === e.id ? 'true' : null }, time(c.time)), ' ', badge(isRefusal(c) ? 'bad' : 'quiet', c.kind), ' ', c.summary))));
    }
  }, () => {});
  return [
    h('h2', {}, badge(isRefusal(e) ? 'bad' : 'good', outcomeOf(e)), ' ', e.code ? `AADSTS${e.code}` : e.kind),
    diagnosis,
    h('p', { class: 'summary' }, e.summary),
    remark,
    e.detail?.note ? h('p', {}, `Note: ${e.detail.note}.`) : null,
    ...reasons(e),
    chain,
    h('section', {}, h('h3', {}, 'Details'), facts([
      ['Event', `${e.id} at ${time(e.time)} (lab time)`],
      ['Workload', e.workload],
      ['Identity', e.clientId ? h('span', {}, `${e.identity ?? ''} `, copyable(e.clientId, 'client ID')) : e.identity],
      ['Program', e.program ? `${e.program.name || e.program.executable || ''} (process ${e.program.pid})` : ''],
      ['Resource', e.resource],
      ['Request', e.method ? `${e.method} ${e.host ?? ''}${e.path ?? ''}` : e.host],
      ['Answer', e.status ? `HTTP ${e.status} ${e.error ?? ''}` : e.error],
      ['Issuer', e.issuer], ['Subject', e.subject], ['Audience', e.audience?.join(', ')], ['kid', e.kid], ['jti', e.jti], ['uti', e.uti],
      ['Trace ID', e.traceId ? copyable(e.traceId, 'trace ID') : ''],
      ['Correlation ID', e.correlationId ? copyable(e.correlationId, 'correlation ID') : ''],
    ])),
    e.message && e.message !== e.summary ? h('details', {}, h('summary', {}, 'What the client got'), h('pre', {}, e.message)) : null,
    h('details', {}, h('summary', {}, 'The event as JSON'), h('pre', {}, JSON.stringify(e, null, 2))),
  ];
}
