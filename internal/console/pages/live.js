// Live: what happens, as it happens. Refusals come first; a click says why, check by check.
import { badge, clockTime, h, held, input, select, time } from './dom.js';
import { events, isRefusal, outcomeOf } from './lab.js';
import { explained } from './explain.js';
import { timeline } from './timeline.js';


const kinds = [['', 'All kinds'], ['exchange', 'Exchanges'], ['access', 'Requests to resources'], ['mint', 'Service-account tokens'], ['projection', 'Token files'], ['key-rotation', 'Keys'], ['discovery', 'Discovery'],
  ['directory', 'Directory'], ['clock', 'Clock'], ['fault', 'Faults'], ['run', 'Programs'], ['escape', 'Escapes'], ['token-review', 'Token reviews'], ['admission', 'Admission']];

const rowHeight = 34; // pixels, as in console.css

const texts = new WeakMap(); // what the filter looks for, by event

// What the page was set to, for when it is shown again.
const set = { text: '', kind: '', refusals: false };

// reason is why something was refused, in the few words that there is room for.
function reason(e) {
  const d = e.nearest?.differences?.[0];
  const who = e.workload ? `${e.workload}: ` : '';
  return d ? `${who}${d.field} differs from credential ${e.nearest.credential}: ${d.presented || '(nothing)'}, expected ${d.expected || '(nothing)'}` : e.summary.replace(`AADSTS${e.code}: `, '');
}

export function show(main, [id]) {
  const text = input({ type: 'search', value: set.text, placeholder: 'workload, code, host, id…', 'aria-label': 'Filter' });
  const kind = select(kinds, { 'aria-label': 'Kind' });
  kind.value = set.kind;
  const only = h('input', { type: 'checkbox' });
  only.checked = set.refusals;
  const count = h('p', { class: 'hint', role: 'status' });
  const refusals = h('div', {});
  const body = h('div', { class: 'sizer', role: 'presentation' });
  const grid = h('div', { class: 'grid', role: 'grid', tabindex: '0', 'aria-label': 'Events, the newest first', 'aria-colcount': '5' }, body);
  const panel = h('aside', { class: 'panel', 'aria-label': 'Explanation', hidden: true, tabindex: '-1' });
  const line = timeline((e) => {
    choose(e);
    reveal(rows.indexOf(e));
    panel.scrollIntoView({ block: 'nearest' });
  });
  main.append(h('h1', {}, 'Live'), refusals,
    h('div', { class: 'split' }, h('div', { class: 'events' }, line.element, h('div', { class: 'tools' }, text, kind, h('label', { class: 'check' }, only, ' Refusals only')), count,
      h('div', { class: 'headings', 'aria-hidden': 'true' }, ['Lab time', 'Kind', 'Outcome', 'What', 'Workload'].map((c) => h('span', {}, c))), grid), panel));

  const pressed = held(grid, () => draw());
  let rows = []; // the events that match, oldest first
  let looked = 0; // how many of all were looked at
  let oldest = null;
  let selected = id ?? '';

  const matches = (e) => {
    if (set.kind && e.kind !== set.kind) return false;
    if (set.refusals && !isRefusal(e)) return false;
    if (!set.text) return true;
    if (!texts.has(e)) texts.set(e, [e.summary, e.kind, e.workload, e.identity, e.clientId, e.resource, e.host, e.path, e.code && `AADSTS${e.code}`, e.error, e.id, e.traceId, e.correlationId, e.jti, e.uti, e.kid, e.issuer, e.subject].filter(Boolean).join('\n').toLowerCase());
    return texts.get(e).includes(set.text);
  };

  // update looks at the events that are new; all is everything again.
  const update = (all) => {
    if (all || events.all[0] !== oldest) {
      rows = events.all.filter(matches);
    } else {
      for (const e of events.all.slice(looked)) if (matches(e)) rows.push(e);
    }
    oldest = events.all[0];
    looked = events.all.length;
    const before = body.offsetHeight;
    body.style.height = `${rows.length * rowHeight}px`;
    if (!all && grid.scrollTop > 0) grid.scrollTop += body.offsetHeight - before; // what is read stays where it is
    grid.setAttribute('aria-rowcount', String(rows.length));
    const forgotten = events.dropped ? `; ${events.dropped} earlier ones are not kept` : '';
    count.textContent = events.ready ? `${rows.length} of ${events.all.length} events${forgotten}` : 'Reading the journal…';
    draw();
    groups();
  };

  // draw makes the rows that are seen, and no others.
  const draw = () => {
    if (pressed()) return;
    const first = Math.max(0, Math.floor(grid.scrollTop / rowHeight) - 5);
    const last = Math.min(rows.length, Math.ceil((grid.scrollTop + grid.clientHeight) / rowHeight) + 5);
    const made = [];
    for (let n = first; n < last; n++) made.push(row(rows[rows.length - 1 - n], n));
    body.replaceChildren(...made);
    const current = selected && body.querySelector('[aria-selected="true"]');
    if (current) grid.setAttribute('aria-activedescendant', current.id);
    else grid.removeAttribute('aria-activedescendant');
  };

  const row = (e, n) => {
    const r = h('div', { class: `row${isRefusal(e) ? ' refused' : ''}`, role: 'row', id: `event-${n}`, 'aria-rowindex': String(n + 1), 'aria-selected': String(e.id === selected), 'data-event': e.id },
      h('span', { role: 'gridcell', title: `${time(e.time)} UTC` }, clockTime(e.time)), h('span', { role: 'gridcell' }, e.kind),
      h('span', { role: 'gridcell' }, badge(isRefusal(e) ? 'bad' : e.outcome === 'granted' ? 'good' : 'quiet', e.code ? `${e.code}` : outcomeOf(e))), h('span', { role: 'gridcell', title: e.summary }, e.summary), h('span', { role: 'gridcell' }, e.workload ?? e.identity ?? ''));
    r.style.top = `${n * rowHeight}px`;
    return r;
  };

  // groups are the refusals, those that say the same together, the newest first.
  const groups = () => {
    const by = new Map();
    for (const e of events.all) {
      if (!isRefusal(e)) continue;
      const key = `${e.kind} ${e.code ?? e.error ?? ''} ${e.workload ?? e.identity ?? ''} ${e.code ? '' : e.summary}`;
      const g = by.get(key);
      by.delete(key);
      by.set(key, { n: (g?.n ?? 0) + 1, e });
    }
    const newest = [...by.values()].reverse().slice(0, 5);
    const shown = newest.map(({ n, e }) => `${e.id} ${n}`).join(' ');
    if (refusals.dataset.shown === shown) return; // so that a focused link stays
    refusals.dataset.shown = shown;
    refusals.replaceChildren(...(newest.length ? [h('section', { class: 'refusals' }, h('h2', {}, 'Refused or failed'), h('ul', {}, newest.map(({ n, e }) => h('li', {},
      h('span', { class: 'times' }, clockTime(e.time)), h('a', { href: `#/live/${encodeURIComponent(e.id)}` }, badge('bad', e.code ? `AADSTS${e.code}` : outcomeOf(e)), ' ', h('span', {}, reason(e))), n > 1 ? h('span', { class: 'times' }, ` × ${n}`) : null))))] : []));
  };

  const choose = (e) => {
    selected = e?.id ?? '';
    panel.hidden = !e;
    grid.closest('.split').classList.toggle('open', Boolean(e));
    if (e) panel.replaceChildren(h('button', { type: 'button', class: 'close', onclick: () => { choose(null); grid.focus(); } }, 'Close'), ...explained(e).filter(Boolean));
    if (e && innerWidth <= 900) panel.scrollIntoView({ block: 'start' }); // it is above the events there
    const address = e ? `#/live/${encodeURIComponent(e.id)}` : '#/live';
    if (location.hash !== address) history.replaceState(null, '', address);
    line.look(e);
    draw();
  };

  // reveal scrolls to a row, if there is one at that place of rows.
  const reveal = (at) => {
    if (at < 0) return;
    const top = (rows.length - 1 - at) * rowHeight;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + rowHeight > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + rowHeight - grid.clientHeight;
  };

  const move = (by) => {
    const at = rows.findLastIndex((e) => e.id === selected);
    const to = Math.max(0, Math.min(rows.length - 1, at < 0 ? rows.length - 1 : at - by));
    if (!rows[to]) return;
    reveal(to);
    choose(rows[to]);
  };

  grid.addEventListener('scroll', draw);
  grid.addEventListener('click', (click) => {
    const e = events.get(click.target.closest('[data-event]')?.dataset.event);
    if (e) choose(e);
  });
  grid.addEventListener('keydown', (k) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -rows.length, End: rows.length };
    if (k.key in steps) move(steps[k.key]);
    else if (k.key === 'Enter' && selected) panel.focus();
    else if (k.key === 'Escape') choose(null);
    else return;
    k.preventDefault();
  });
  const refilter = () => {
    set.text = text.value.trim().toLowerCase();
    set.kind = kind.value;
    set.refusals = only.checked;
    grid.scrollTop = 0;
    update(true);
  };
  for (const control of [text, kind, only]) control.addEventListener('input', refilter);
  const resized = new ResizeObserver(draw);
  resized.observe(grid);
  update(true);
  const pick = () => {
    const e = id && events.get(id);
    if (e && panel.hidden && selected === id) choose(e);
  };
  pick();
  const end = events.listen(() => {
    update(false);
    pick();
  });
  return () => {
    end();
    line.end();
    resized.disconnect();
  };
}
