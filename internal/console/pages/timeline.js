// The timeline: keys, token files, exchanges, access tokens and requests in lanes, over lab time.
// It draws as wiemu report does (internal/timeline), a window of the newest events, and moves as
// events come and the lab clock goes on. What stands close together is drawn as one, so that
// there are no more elements than the width has room for, however many events there are.
import { h, held, select, time } from './dom.js';
import { events, isRefusal, status } from './lab.js';

const groups = ['Lab clock', 'Faults', 'Directory', 'Keys', 'Key look-ups', 'Token files', 'Token requests', 'Exchanges', 'Access tokens', 'Requests', 'Programs', 'Escapes', 'Other'];
const mostLanes = 6; // of a group
const mostRows = 4; // of a lane

// What shapes mean, in the order of the legend.
const legend = {
  published: 'key published', signing: 'key signs', hidden: 'key signs, but is not published', retired: 'key retired, still published', removed: 'key removed',
  current: 'token in the file', rest: 'its lifetime', expired: 'in the file, but expired', granted: 'granted', denied: 'refused or failed', challenge: 'asked without a token, as clients do first',
  token: "access token's lifetime", running: 'program runs', ended: 'program ended', broke: 'program ended with an error', changed: 'change or look-up', advanced: 'clock moved on', turned: 'clock set', injected: 'fault injected', fault: 'fault hit a call',
};
const bars = new Set(['running', 'advanced', 'injected', 'published', 'signing', 'hidden', 'retired', 'current', 'rest', 'expired', 'token']);
const stages = new Set(['published', 'signing', 'retired', 'removed']);

const parsed = new WeakMap(); // by event: its time and, if it has one, the end of a lifetime, in milliseconds

function times(e) {
  let known = parsed.get(e);
  if (!known) parsed.set(e, known = { at: Date.parse(e.time), ends: e.expiresAt && e.outcome !== 'denied' ? Date.parse(e.expiresAt) : NaN });
  return known;
}

const at = (e) => times(e).at;

// gap is the width of an idle time: a second is about two events wide, an hour six, a week ten.
const gap = (ms) => 0.3 * Math.log10(1 + Math.max(ms, 0)) ** 1.6;

// room is the width of an event: less for those that nothing is drawn for, or that are drawn small.
const room = (e) => (e.kind === 'mint' && e.outcome === 'ok' ? 0.1 : e.kind === 'clock' ? 0.6 : 1);

// axisOf makes room for the events from first to end, for the time until now, and for what ends later.
function axisOf(all, first, end, now) {
  const places = new Float64Array(end - first);
  const knots = [];
  let x = 0.6;
  let last = end > first ? at(all[first]) : now;
  knots.push([0, last]);
  for (let i = first; i < end; i++) {
    const t = Math.max(at(all[i]), last); // two at a time may be recorded the other way round
    if (t > last) x += gap(t - last);
    last = t;
    const wide = room(all[i]);
    places[i - first] = x + wide / 2;
    knots.push([x, t], [x + wide, t]);
    x += wide;
  }
  if (now > last) {
    x += gap(now - last);
    last = now;
  }
  const here = x;
  knots.push([x += 0.6, last]);
  const coming = new Set();
  for (let i = 0; i < end; i++) if (times(all[i]).ends > last) coming.add(times(all[i]).ends);
  const later = [...coming].sort((a, b) => a - b);
  let sum = 0;
  let before = last;
  for (const t of later) {
    sum += gap(t - before);
    before = t;
  }
  const fifth = Math.max(x / 4, 4); // what is still to come takes a fifth of the picture at most
  before = last;
  for (const t of later) {
    x += gap(t - before) * Math.min(1, fifth / sum);
    knots.push([x, before = t]);
  }
  return {
    knots, here, total: x + 0.6,
    of: (i) => (i < first ? 0 : places[i - first]),
    place(t) {
      if (t <= knots[0][1]) return 0;
      let low = 0;
      let high = knots.length - 1;
      if (t > knots[high][1]) return x + 0.6;
      while (low + 1 < high) {
        const middle = (low + high) >> 1;
        if (knots[middle][1] < t) low = middle;
        else high = middle;
      }
      const [a, b] = [knots[low], knots[high]];
      return a[0] + (b[0] - a[0]) * (t - a[1]) / (b[1] - a[1] || 1);
    },
  };
}

// compose decides what is drawn where: lanes of items [shape, row, from, to, event, text], where
// lengths are those of the axis.
function compose(all, first, end, axis) {
  const lanes = new Map();
  const lane = (group, label) => {
    const name = `${group}\n${label ?? ''}`;
    if (!lanes.has(name)) lanes.set(name, { group, label: label ?? '', items: [], busy: [], newest: -1 });
    return lanes.get(name);
  };
  const put = (l, shape, row, from, to, i, text = '') => {
    if (to < 0 || (to <= 0 && i < first)) return; // before the window
    l.items.push([shape, row, Math.max(from, 0), to, i, text]);
    l.newest = Math.max(l.newest, i);
  };
  const point = (l, shape, i) => { if (i >= first) put(l, shape, shape === 'denied' ? 1 : 0, axis.of(i), axis.of(i), i); };
  const rowOf = (l, from, to) => {
    const free = l.busy.findIndex((b) => b <= from);
    const row = free >= 0 ? free : l.busy.length < mostRows ? l.busy.length : -1;
    if (row >= 0) l.busy[row] = to;
    return row;
  };
  const outcome = (e, well) => (isRefusal(e) ? 'denied' : e.detail?.challenge ? 'challenge' : well);
  const rings = new Map(); // keys by ring: [{id, phases: [[shape, from, event]]}]
  const files = new Map();
  const faults = new Map();
  const programs = [];
  const stage = (k) => k.phases.at(-1)[0];
  const ring = (name) => rings.get(name) ?? rings.set(name, []).get(name);

  const key = (i, e) => {
    let shape = e.detail?.stage;
    if (!stages.has(shape) || isRefusal(e)) return point(lane('Keys', e.part), isRefusal(e) ? 'denied' : 'changed', i);
    const keys = ring(e.part);
    let from = e.detail.from;
    if (e.detail.jwks === 'without it') shape = 'hidden';
    else if (e.detail.jwks === 'with it') from = keys.findLast((k) => k.id === e.kid)?.phases.at(-1)[0];
    let k = from && keys.find((o) => o.id === e.kid && (stage(o) === from || (from === 'signing' && stage(o) === 'hidden')));
    if (!k) keys.push(k = { id: e.kid, phases: from ? [[from, 0, i]] : [] }); // from: since before the journal began
    k.phases.push([shape, axis.of(i), i]);
  };
  const projected = (i, e) => {
    const l = lane('Token files', e.workload || e.detail?.file);
    if (isRefusal(e)) return put(l, 'denied', 0, axis.of(i), axis.of(i), i);
    const name = `${e.workload} ${e.detail?.file}`;
    (files.get(name) ?? files.set(name, []).get(name)).push([i, e, l]);
  };
  const exchange = (i, e) => {
    point(lane('Exchanges', e.workload || e.identity || e.clientId), outcome(e, 'granted'), i);
    if (e.outcome === 'granted' && e.expiresAt) put(lane('Access tokens', `${e.identity || e.clientId || ''} → ${(e.resource ?? '').replace('https://', '')}`), 'token', 0, axis.of(i), Math.max(axis.place(times(e).ends), axis.of(i)), i);
  };
  const clock = (i, e) => {
    const from = Date.parse(e.detail?.from ?? '');
    if (!(from < at(e))) return point(lane('Lab clock', e.part), 'turned', i);
    put(lane('Lab clock', e.part), 'advanced', 0, Math.min(axis.place(from), axis.of(i)), axis.of(i), i, `+${long(at(e) - from)}`);
  };
  const fault = (i, e) => {
    const { fault: id, name, action } = e.detail ?? {};
    const l = lane('Faults', `${id ?? ''} ${name ?? ''}`.trim());
    if (action === 'injected') {
      faults.set(id, [i, l, name]);
    } else if (action === 'cleared') {
      put(l, 'injected', 0, faults.has(id) ? axis.of(faults.get(id)[0]) : 0, axis.of(i), faults.get(id)?.[0] ?? i, name);
      faults.delete(id);
    } else if (i >= first) {
      put(l, 'fault', 1, axis.of(i), axis.of(i), i);
    }
  };
  const program = (i, e) => {
    const { program: name, exitCode } = e.detail ?? {};
    if (!isRefusal(e) && exitCode === undefined) return programs.push({ i, name, workload: e.workload, end: -1 });
    const begun = programs.find((p) => p.workload === e.workload && name && p.name === name && p.end < 0);
    if (begun) begun.end = i;
    else point(lane('Programs', e.workload), isRefusal(e) || exitCode !== '0' ? 'broke' : 'ended', i);
  };
  const simple = { discovery: ['Key look-ups'], directory: ['Directory'], escape: ['Escapes', (e) => e.host], access: ['Requests', (e) => e.resource || e.host || e.part, 'granted'], 'token-review': ['Token requests', (e) => `token reviews of ${e.part}`, 'granted'] };
  for (let i = 0; i < end; i++) {
    const e = all[i];
    if (e.kind === 'key-rotation') key(i, e);
    else if (e.kind === 'projection') projected(i, e);
    else if (e.kind === 'exchange') exchange(i, e);
    else if (e.kind === 'clock') clock(i, e);
    else if (e.kind === 'fault') fault(i, e);
    else if (e.kind === 'run') program(i, e);
    else if (e.kind === 'mint') {
      if (isRefusal(e)) point(lane('Token requests', e.workload || e.part), 'denied', i);
      else if (e.kid && !ring(e.part).some((k) => k.id === e.kid)) ring(e.part).push({ id: e.kid, phases: [['signing', 0, i]] }); // a ring's first key is in no event
    } else if (i >= first) {
      const [group, label, well] = simple[e.kind] ?? ['Other', () => e.kind];
      point(lane(group, label?.(e)), outcome(e, well ?? 'changed'), i);
    }
  }
  for (const [name, keys] of rings) {
    const l = lane('Keys', name);
    for (const k of keys) {
      const to = stage(k) === 'removed' ? k.phases.at(-1)[1] : axis.here;
      if (to <= 0) continue;
      const row = rowOf(l, k.phases[0][1], to + 0.6);
      k.phases.forEach(([shape, from, i], n) => {
        if (row >= 0) put(l, shape, row, from, shape === 'removed' ? from : k.phases[n + 1]?.[1] ?? to, i, shape === 'removed' ? '' : `${n === 0 || from <= 0 ? `${k.id.slice(0, 8)} ` : ''}${shape === 'hidden' ? 'unpublished' : shape}`);
      });
    }
  }
  for (const versions of files.values()) {
    versions.forEach(([i, e, l], n) => {
      const from = axis.of(i);
      const until = versions[n + 1] ? axis.of(versions[n + 1][0]) : axis.here;
      const expires = e.expiresAt ? Math.max(axis.place(times(e).ends), from) : until;
      if (Math.max(until, expires) <= 0) return;
      const row = rowOf(l, from, Math.max(until, expires));
      if (row < 0) return;
      if (expires > until) put(l, 'rest', row, until, expires, i);
      put(l, 'current', row, from, Math.min(until, expires), i, String(n + 1));
      if (expires < until) put(l, 'expired', row, expires, until, i, 'expired');
    });
  }
  for (const p of programs) {
    const l = lane('Programs', p.workload);
    const to = p.end < 0 ? axis.here : axis.of(p.end);
    if (to <= 0) continue;
    const row = rowOf(l, axis.of(p.i), to + 0.6);
    if (row < 0) continue;
    put(l, 'running', row + 1, axis.of(p.i), to, p.i, p.name);
    if (p.end >= 0) put(l, isRefusal(all[p.end]) || all[p.end].detail?.exitCode !== '0' ? 'broke' : 'ended', row + 1, to, to, p.end);
  }
  for (const [i, l, name] of faults.values()) put(l, 'injected', 0, axis.of(i), axis.here, i, name);
  return settled(lanes);
}

// settled are the lanes in their order, without empty ones and rows; left is how many there was no room for.
function settled(lanes) {
  let left = 0;
  const shown = [];
  for (const group of groups) {
    const members = [...lanes.values()].filter((l) => l.group === group && l.items.length).sort((a, b) => b.newest - a.newest);
    left += Math.max(0, members.length - mostLanes);
    shown.push(...members.slice(0, mostLanes).sort((a, b) => (a.label < b.label ? -1 : 1)).map((l, n) => ({ ...l, first: n === 0 })));
  }
  for (const l of shown) {
    const empty = Math.min(...l.items.map((i) => i[1]));
    for (const i of l.items) i[1] -= empty;
    l.rows = Math.max(...l.items.map((i) => i[1])) + 1;
    l.items.sort((a, b) => a[2] - b[2]);
  }
  return { lanes: shown, left };
}

// long writes a length of time with its two largest units.
function long(ms) {
  if (ms < 1000) return ms ? `${Math.round(ms)}ms` : '0s';
  const units = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]];
  const s = Math.round(ms / 1000);
  const n = units.findIndex(([, size], i) => s >= size && (i || s >= 129600)); // 25h is what people say
  const [unit, size] = units[n];
  const rest = units[n + 1] ? Math.floor((s % size) / units[n + 1][1]) : 0;
  return `${Math.floor(s / size)}${unit}${rest ? `${rest}${units[n + 1][0]}` : ''}`;
}

const NS = 'http://www.w3.org/2000/svg';

// s is h for SVG.
function s(tag, props, ...children) {
  const e = document.createElementNS(NS, tag);
  for (const name of Object.keys(props)) e.setAttribute(name, props[name]);
  e.append(...children);
  return e;
}

const letter = 6.5; // how wide a letter is, about
const wide = (text) => letter * text.length;
const digit = (x) => x.toFixed(1);

function fit(text, space) {
  const most = Math.max(Math.floor(space / letter), 3);
  if (text.length <= most) return text;
  const head = Math.floor((most - 1) / 3);
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`;
}

const mark = 'M-2.4-2.4l4.8 4.8m0-4.8l-4.8 4.8';
const symbols = {
  granted: () => [s('circle', { class: 'granted', r: 6 }), s('path', { class: 'mark', d: 'M-2.8 .2l2 2.2 3.6-4.4' })],
  denied: () => [s('path', { class: 'denied', d: 'M0-8L8 0 0 8-8 0z' }), s('path', { class: 'mark', d: mark })],
  challenge: () => [s('circle', { class: 'challenge', r: 4 })],
  ended: () => [s('rect', { class: 'ended', x: -4.5, y: -4.5, width: 9, height: 9, rx: 1 })],
  broke: () => [s('rect', { class: 'broke', x: -5.5, y: -5.5, width: 11, height: 11, rx: 1 }), s('path', { class: 'mark', d: mark })],
  removed: () => [s('path', { class: 'removed', d: 'M-4-4l8 8m0-8l-8 8' })],
  fault: () => [s('path', { class: 'fault', d: 'M0-7L7 5.5H-7z' })],
  turned: () => [s('path', { class: 'turned', d: 'M-1-7h8l-3 3.5 3 3.5H1v7h-2z' })],
  changed: () => [s('circle', { class: 'changed', r: 3.5 })],
};

// Measures of the drawing, in pixels: those of the report.
const [axisHeight, rowHeight, pad, barHeight, right] = [40, 18, 5, 12, 14];

// draw draws lanes into an SVG element of that width.
function draw(svg, all, { lanes, axis, chosen }, width) {
  const narrow = width < 640;
  const gutter = narrow ? 8 : 216;
  const head = narrow ? 15 : 0;
  const tall = (l) => head + Math.max(l.rows * rowHeight + 2 * pad, !narrow && l.first && l.label ? 37 : 0);
  const height = axisHeight + lanes.reduce((sum, l) => sum + tall(l), 0) + 6;
  const plot = Math.max(width - gutter - right, 50);
  const x = (place) => gutter + place / axis.total * plot;
  const when = (i) => `${time(all[i].time)} UTC`;
  const made = [];
  const used = new Set();
  const item = (list, title, ...children) => {
    const g = s('g', { class: list.includes(chosen) ? 'i chosen' : 'i', 'data-event': all[list.at(-1)].id }, s('title', {}, title), ...children);
    made.push(g);
  };
  const bar = (l, y, [shape, row, from, to, i, text]) => {
    const high = shape === 'rest' ? barHeight - 6 : barHeight;
    const [a, length] = [x(from), Math.max(x(to) - x(from), 2)];
    const top = y + row * rowHeight + (rowHeight - high) / 2;
    const r = [s('rect', { class: shape, x: digit(a), y: digit(top), width: digit(length), height: high, rx: 2 })];
    const label = wide(text) + 8 <= length ? text : wide(text.split(' ')[0]) + 8 <= length ? text.split(' ')[0] : '';
    if (label) r.push(s('text', { class: shape === 'signing' || shape === 'current' ? 'on' : 'within', x: digit(a + 4), y: digit(top + high - 2.6) }, label));
    item([i], `${legend[shape]}: ${when(i)} ${all[i].summary}`, ...r);
  };
  const crowd = (y, { shape, row, from, to, list }) => {
    const at = `translate(${digit((from + to) / 2)} ${digit(y + row * rowHeight + rowHeight / 2)})`;
    if (list.length === 1) return item(list, `${when(list[0])} ${all[list[0]].summary}`, s('g', { transform: at }, ...symbols[shape](), s('circle', { r: 11, fill: 'transparent' })));
    const bad = shape === 'denied' || shape === 'broke';
    const text = `${bad ? '✗' : ''}${list.length}`;
    const half = 4 + wide(text) / 2;
    item(list, `${list.length} × ${legend[shape]}, ${when(list[0])} to ${when(list.at(-1))}`, s('g', { transform: at },
      s('rect', { class: shape, x: digit(-half), y: -7, width: digit(2 * half), height: 14, rx: bad || shape === 'ended' || shape === 'fault' ? 2 : 7 }),
      s('text', { class: ['challenge', 'ended', 'removed'].includes(shape) ? 'within' : 'on', y: 3.5, 'text-anchor': 'middle' }, text)));
  };
  let y = axisHeight;
  lanes.forEach((l, n) => {
    const high = tall(l);
    if (n % 2 === 0) made.push(s('rect', { class: 'stripe', x: 0, y, width, height: high }));
    y += high;
  });
  for (const [place, clock, since] of ticks(axis, plot)) {
    made.push(s('path', { class: 'line', d: `M${digit(x(place))} ${axisHeight - 8}V${height - 6}` }), s('text', { x: digit(x(place)), y: 14 }, clock), s('text', { class: 'quiet', x: digit(x(place)), y: 27 }, since));
  }
  made.push(s('path', { class: 'now', d: `M${digit(x(axis.here))} ${axisHeight - 8}V${height - 6}` }));
  y = axisHeight;
  for (const l of lanes) {
    const high = tall(l);
    const top = y + head + (high - head - l.rows * rowHeight) / 2;
    const middle = narrow ? y + 13 : y + high / 2 + 4;
    const apart = !narrow && l.first && l.label ? 7 : 0;
    const name = s('g', { class: 'name' }, s('title', {}, `${l.group} ${l.label}`.trim()));
    if (l.first || narrow) name.append(s('text', { class: 'group', x: narrow ? 8 : 10, y: middle - apart }, l.group));
    if (l.label) name.append(s('text', { class: 'quiet', x: narrow ? 16 + wide(l.group) * 1.1 : 10, y: middle + apart }, fit(l.label, narrow ? width - 24 - wide(l.group) * 1.1 : gutter - 20)));
    made.push(name);
    const open = new Map(); // what the next item of that shape and row may join
    const crowds = [];
    for (const i of l.items) {
      used.add(i[0]);
      const key = `${i[0]} ${i[1]}`;
      const before = open.get(key);
      if (bars.has(i[0])) {
        const [from, to] = [x(i[2]), x(i[3])];
        // Lifetimes of access tokens at one time are one bar; so are bars too short to be told apart.
        if (before && ((i[0] === 'token' && i[2] <= before[3]) || (to - x(before[2]) < 3 && from - x(before[3]) < 1))) {
          before[3] = Math.max(before[3], i[3]);
          before[6] = (before[6] ?? 1) + 1;
          before[5] = i[0] === 'token' ? `${before[6]} tokens` : '';
          continue;
        }
        const fresh = [...i];
        if (i[0] === 'token') fresh[5] = long(times(all[i[4]]).ends - at(all[i[4]]));
        open.set(key, fresh);
        crowds.push(fresh);
        continue;
      }
      const a = x(i[2]);
      if (before && a - before.from < 13 + (before.list.length > 1 ? letter * String(before.list.length).length : 0)) {
        before.list.push(i[4]);
        before.to = a;
        continue;
      }
      const fresh = { shape: i[0], row: i[1], from: a, to: a, list: [i[4]] };
      open.set(key, fresh);
      crowds.push(fresh);
    }
    for (const c of crowds) if (Array.isArray(c)) bar(l, top, c);
    for (const c of crowds.filter((c) => !Array.isArray(c)).sort((a, b) => (a.shape === 'denied') - (b.shape === 'denied'))) crowd(top, c);
    y += high;
  }
  for (const [name, value] of [['viewBox', `0 0 ${width} ${height}`], ['width', width], ['height', height]]) svg.setAttribute(name, value);
  svg.replaceChildren(...made);
  return used;
}

// ticks are times that are written at the axis: [place, time, time since the first].
function ticks(axis, plot) {
  const list = [];
  const first = axis.knots[0][1];
  let free = -1;
  let day = '';
  for (const [place, t] of axis.knots) {
    const px = place / axis.total * plot;
    if (px < free || px > plot - 60 || t === list.at(-1)?.[3]) continue;
    const iso = new Date(t).toISOString();
    const date = iso.slice(5, 10);
    const text = date === day ? iso.slice(11, 19) : `${date} ${iso.slice(11, 19)}`;
    day = date;
    list.push([place, text, `+${long(t - first)}`, t]);
    free = px + Math.max(wide(text) + 8, 88);
  }
  return list;
}

const set = { most: 200, open: true }; // what it was set to, for when the page is shown again

// timeline returns an element that draws itself as events come, until its end is called; pick is called
// with an event that is clicked on, and look shows one.
export function timeline(pick) {
  const most = select([[50, 'Newest 50 events'], [200, 'Newest 200 events'], [1000, 'Newest 1,000 events'], [20000, 'All events']], { 'aria-label': 'How many events the timeline shows' });
  most.value = String(set.most);
  const earlier = h('button', { type: 'button', onclick: () => go(-1) }, 'Earlier');
  const later = h('button', { type: 'button', onclick: () => go(1) }, 'Later');
  const newest = h('button', { type: 'button', onclick: () => { until = null; update(); } }, 'Newest');
  const svg = s('svg', { class: 'picture', role: 'img' });
  const frame = h('div', { class: 'frame', tabindex: '0', role: 'region', 'aria-label': 'Timeline' }, svg);
  const note = h('p', { class: 'hint' });
  const meaning = h('ul', { class: 'legend', 'aria-hidden': 'true' });
  const element = h('details', { class: 'timeline', open: set.open }, h('summary', {}, 'Timeline'), h('div', { class: 'tools' }, most, earlier, later, newest), frame, meaning, note);
  let until = null; // the event at which the window ends; null: the newest
  let chosen = '';
  let explained = '';

  const end = () => {
    const i = until === null ? -1 : events.all.findLastIndex((e) => e.id === until);
    return i < 0 ? events.all.length : i + 1;
  };
  const go = (by) => {
    const to = Math.min(Math.max(end() + Math.round(by * set.most / 2), Math.min(set.most, events.all.length)), events.all.length);
    until = to === events.all.length ? null : events.all[to - 1].id;
    update();
  };
  const update = () => {
    if (!element.open || document.hidden || !element.isConnected || pressed()) return;
    const all = events.all;
    const to = end();
    const first = Math.max(0, to - set.most);
    earlier.disabled = first === 0;
    later.disabled = newest.disabled = to === all.length;
    frame.hidden = !all.length;
    note.textContent = all.length ? '' : 'Nothing has happened yet.';
    meaning.hidden = !all.length;
    if (!all.length) return;
    const axis = axisOf(all, first, to, to === all.length ? status.now() : at(all[to - 1]));
    const picture = compose(all, first, to, axis);
    const used = draw(svg, all, { ...picture, axis, chosen: chosen ? all.findLastIndex((e) => e.id === chosen) : -1 }, frame.clientWidth);
    svg.setAttribute('aria-label', `${to - first} events from ${time(all[first].time)} to ${time(all[to - 1].time)} UTC, ${all.slice(first, to).filter(isRefusal).length} refused or failed; the table below has each.`);
    note.textContent = [`Events ${(first + 1).toLocaleString('en')} to ${to.toLocaleString('en')} of ${all.length.toLocaleString('en')}. Idle time is drawn short.`, picture.left ? `${picture.left} more lanes are not drawn.` : ''].join(' ');
    explain(Object.keys(legend).filter((name) => used.has(name)));
  };
  const explain = (names) => {
    if (explained === names.join()) return;
    explained = names.join();
    meaning.replaceChildren(...names.map((name) => {
      const sample = s('svg', { class: 'picture', width: 26, height: 18, viewBox: '0 0 26 18' });
      sample.append(bars.has(name) ? s('rect', { class: name, x: 1, y: name === 'rest' ? 6 : 3, width: 24, height: name === 'rest' ? 6 : 12, rx: 2 }) : s('g', { transform: 'translate(13 9)' }, ...symbols[name]()));
      return h('li', {}, sample, legend[name]);
    }));
  };

  const pressed = held(frame, () => update());
  let due = null;
  let cost = 0; // milliseconds that it took to draw
  const soon = () => { // ten times a second at most, and a fifth of the time
    due ??= setTimeout(() => {
      due = null;
      const begun = performance.now();
      update();
      cost = performance.now() - begun;
    }, Math.max(100, 4 * cost));
  };
  frame.addEventListener('click', (click) => {
    const e = events.get(click.target.closest('[data-event]')?.dataset.event);
    if (e) pick(e);
  });
  most.addEventListener('change', () => {
    set.most = Number(most.value);
    update();
  });
  element.addEventListener('toggle', () => {
    set.open = element.open;
    update();
  });
  const resized = new ResizeObserver(soon);
  resized.observe(element);
  const ends = [events.listen(soon), status.listen(soon)];
  const moving = setInterval(() => { if (until === null && status.value?.speed) soon(); }, 1000); // lifetimes run out
  return {
    element,
    look(e) {
      chosen = e?.id ?? '';
      const i = e ? events.all.lastIndexOf(e) : -1;
      if (i >= 0 && (i >= end() || i < end() - set.most)) {
        const to = Math.min(events.all.length, i + Math.ceil(set.most / 2));
        until = to === events.all.length ? null : events.all[to - 1].id;
      }
      soon();
    },
    end() {
      clearTimeout(due);
      clearInterval(moving);
      resized.disconnect();
      for (const stop of ends) stop();
    },
  };
}
