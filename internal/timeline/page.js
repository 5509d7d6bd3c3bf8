'use strict';
// Moves what is drawn in the picture, so that it can be zoomed, and explains what is
// clicked. What came from outside becomes text nodes and attributes only, never markup.
(function () {
  const data = JSON.parse(document.getElementById('data').textContent);
  const { lanes, events, shapes, drawn } = data;
  const by = (id) => document.getElementById(id);
  const frame = by('picture'), panel = by('panel');
  const NS = 'http://www.w3.org/2000/svg';
  const start = Date.parse(data.start);
  if (!events.length) return;

  // The axis: places to times and back, straight between knots.
  const knots = data.knots, first = knots[0], last = knots[knots.length - 1];
  const span = Math.max(last[1] - first[1], 1);
  function between(value, from, to) {
    let low = 0, high = knots.length - 1;
    if (value <= knots[0][from]) return knots[0][to];
    if (value >= knots[high][from]) return knots[high][to];
    while (low + 1 < high) {
      const mid = (low + high) >> 1;
      if (knots[mid][from] < value) low = mid; else high = mid;
    }
    const a = knots[low], b = knots[high];
    return a[to] + (b[to] - a[to]) * (value - a[from]) / (b[from] - a[from] || 1);
  }
  const timeAt = (x) => between(x, 0, 1);
  const placeOf = (t) => between(t, 1, 0);

  // The view: which part of the axis, from 0 to 1, is seen.
  let toScale = false, view = [0, 1], width = 0, narrow = false, chosen = -1;
  const share = (x) => toScale ? (timeAt(x) - first[1]) / span : x / data.total;
  const gutter = () => narrow ? 8 : drawn.gutter;
  const plot = () => Math.max(width - gutter() - drawn.right, 50);
  const at = (x) => gutter() + (share(x) - view[0]) / (view[1] - view[0]) * plot();
  const timeAtPixel = (px) => {
    const s = view[0] + (px - gutter()) / plot() * (view[1] - view[0]);
    return toScale ? first[1] + s * span : timeAt(s * data.total);
  };
  const closest = 1 / Math.max(events.length * 2, 2000);

  function show(from, to) {
    const size = Math.min(Math.max(to - from, closest), 1);
    from = Math.min(Math.max((from + to - size) / 2, 0), 1 - size);
    view = [from, from + size];
    draw();
  }
  function zoom(by, around) {
    const size = view[1] - view[0], to = Math.min(size * by, 1);
    const s = around === undefined ? .5 : Math.min(Math.max((around - gutter()) / plot(), 0), 1);
    show(view[0] + (size - to) * s, view[0] + (size - to) * s + to);
  }
  const pan = (by) => { const size = view[1] - view[0]; let f = Math.min(Math.max(view[0] + by * size, 0), 1 - size); view = [f, f + size]; draw(); };

  // Elements.
  function el(name, attributes, text) {
    const e = document.createElementNS(NS, name);
    for (const a in attributes) e.setAttribute(a, attributes[a]);
    if (text !== undefined) e.textContent = text;
    return e;
  }
  const symbols = shapes.map((s) => s.b ? null : document.importNode(
    new DOMParser().parseFromString('<svg xmlns="' + NS + '">' + s.d + '</svg>', 'image/svg+xml').documentElement.firstChild, true));

  // Times as people write them.
  const units = [['d', 864e5], ['h', 36e5], ['m', 6e4], ['s', 1e3]];
  function length(ms) {
    if (ms < 0) return '-' + length(-ms);
    if (ms < 1000) return ms === 0 ? '0s' : (ms < 1 ? +(ms * 1000).toFixed(0) + 'µs' : +ms.toFixed(ms < 10 ? 1 : 0) + 'ms');
    ms = Math.round(ms / 1000) * 1000;
    let i = units.findIndex((u) => ms >= u[1]);
    if (i === 0 && ms < 36 * 36e5) i = 1;
    const n = Math.floor(ms / units[i][1]), rest = i < 3 ? Math.floor((ms - n * units[i][1]) / units[i + 1][1]) : 0;
    return n + units[i][0] + (rest ? rest + units[i + 1][0] : '');
  }
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const iso = (t) => { const d = new Date(start + Math.floor(t)); return isNaN(d) ? '' : d.toISOString(); };
  const date = (t) => { const d = new Date(start + t); return d.getUTCDate() + ' ' + months[d.getUTCMonth()]; };
  const when = (t) => iso(t).replace('T', ' ').replace('.000', '').replace('Z', '');

  const steps = [1e-3, 1e-2, .1, 1, 5, 20, 100, 500, 1e3, 5e3, 15e3, 6e4, 3e5, 9e5, 36e5, 108e5, 216e5, 432e5, 864e5, 6048e5, 24192e5, 314496e5];
  // Instants, the first one first, then those that take most room.
  const instants = [];
  knots.forEach((k, i) => { if (i && knots[i - 1][1] === k[1]) instants[instants.length - 1].room += k[0] - knots[i - 1][0]; else instants.push({ t: k[1], room: i ? 0 : 1e9 }); });
  instants.sort((a, b) => b.room - a.room || a.t - b.t);
  function ticks() {
    const room = 88, from = timeAtPixel(gutter()), to = timeAtPixel(gutter() + plot());
    const many = Math.max(Math.floor(plot() / room), 1);
    const seen = instants.filter((i) => i.t >= from && i.t <= to);
    let times = seen.map((i) => i.t);
    if (toScale || times.length > many * 4 || times.length < 2) { // round times, the roundest first
      const busy = toScale ? 1e9 : 14 / plot() * (view[1] - view[0]) * data.total;
      times = seen.filter((i) => i.room >= busy).map((i) => i.t);
      for (const step of [...steps].reverse()) {
        const n = (to - from) / step, zero = start % step;
        if (n > 3000) break;
        for (let t = Math.ceil((from + zero) / step) * step - zero; t <= to; t += step) times.push(t);
        if (n > many * 3 && toScale) break;
      }
    }
    const list = [];
    for (const t of times) {
      const x = at(placeOf(t));
      if (x < gutter() - 1 || x > gutter() + plot()) continue;
      if (!list.some((k) => Math.abs(k.x - x) < room)) list.push({ t, x });
    }
    list.sort((a, b) => a.t - b.t);
    let close = Infinity;
    list.forEach((k, i) => { if (i) close = Math.min(close, k.t - list[i - 1].t); });
    const end = close < 1e3 || list.length < 2 && to - from < 1e3 ? 23 : close < 6e4 || list.length < 2 ? 19 : 16;
    let day = '';
    for (const k of list) {
      const d = date(k.t);
      k.clock = (d === day ? '' : d + ' ') + iso(k.t).slice(11, end);
      day = d;
      k.since = '+' + length(k.t);
    }
    let free = -1; // texts neither touch each other nor go beyond the right edge
    return list.filter((k) => {
      const to = k.x + wide(k.clock.length > k.since.length ? k.clock : k.since);
      if (k.x < free || to > width) return false;
      free = to + 6;
      return true;
    });
  }

  const letter = 6.5, wide = (s) => letter * s.length;
  const crowd = (n) => n === 1 ? 13 : 13 + letter * String(n).length;
  function fit(s, room) {
    const most = Math.max(Math.floor(room / letter), 3);
    if (s.length <= most) return s;
    const head = Math.floor((most - 1) / 3);
    return s.slice(0, head) + '…' + s.slice(s.length - (most - 1 - head));
  }
  function fitWords(s, room) {
    while (s && wide(s) * .95 > room) s = s.slice(0, Math.max(s.lastIndexOf(' '), 0));
    return s;
  }

  // What belongs to the same token's way as an event.
  function chainOf(n) {
    const e = events[n];
    let { jti, uti, kid } = e;
    if (!jti && uti) for (const o of events) if (o.k === 'exchange' && o.uti === uti) { jti = o.jti; kid = o.kid; }
    return events.flatMap((o, i) => i === n || jti && o.jti === jti || uti && o.uti === uti || kid && o.k === 'key-rotation' && o.kid === kid ? [i] : []);
  }

  // What is seen is in the address, so that it can be passed on: #e14/v0.2-0.4/s is
  // event 14, a part of the axis, and to scale.
  let soon = 0;
  function remember() {
    clearTimeout(soon);
    soon = setTimeout(() => {
      const parts = [];
      if (chosen >= 0) parts.push('e' + encodeURIComponent(events[chosen].i));
      if (view[1] - view[0] < 1) parts.push('v' + view.map((v) => +v.toFixed(6)).join('-'));
      if (toScale) parts.push('s');
      history.replaceState(null, '', parts.length ? '#' + parts.join('/') : location.pathname + location.search);
    }, 200);
  }
  function fromHash() {
    let n = -1;
    for (const part of location.hash.slice(1).split('/')) {
      const seen = /^v([0-9.]+)-([0-9.]+)$/.exec(part);
      if (seen && +seen[1] < +seen[2]) show(+seen[1], +seen[2]);
      if (part === 's' && !toScale) actions.scale();
      if (part[0] === 'e') {
        try { const id = decodeURIComponent(part.slice(1)); n = events.findIndex((e) => e.i === id); } catch { n = -1; }
      }
    }
    if (n >= 0 && n !== chosen) choose(n, true);
  }

  // What is drawn: stripes, names and bars are moved; points, which stand together as long
  // as they would hide each other, and ticks are made anew from what they looked like.
  const svg = frame.querySelector('svg'), body = svg.querySelector('.body');
  const clip = el('clipPath', { id: 'plot' }), part = el('rect', { y: 0 });
  clip.append(part);
  svg.prepend(clip);
  body.setAttribute('clip-path', 'url(#plot)');
  svg.setAttribute('role', 'group');
  svg.setAttribute('aria-label', 'Timeline');
  const stripes = svg.querySelectorAll('.stripe'), names = svg.querySelectorAll('.name'), ticksDrawn = svg.querySelector('.ticks');
  const tick = ticksDrawn.firstElementChild.cloneNode(true);
  const laneNodes = [...svg.querySelectorAll('.lane')];
  lanes.forEach((l, n) => {
    const nodes = laneNodes[n].querySelectorAll(':scope > .i');
    let next = 0;
    l.points = laneNodes[n].querySelector('.points');
    l.bars = l.i.filter((i) => shapes[i[0]].b).map((i) => {
      const g = nodes[next++], rect = g.querySelector('rect'), halo = el('rect', { class: 'halo', rx: 3 });
      rect.after(halo);
      reach(g, i[4], g.querySelector('title').textContent);
      return { i, g, rect, halo, text: g.querySelector('text') };
    });
  });
  const moves = [], drawnMoves = svg.querySelectorAll('.moved, .instant, .trouble');
  for (const l of lanes) for (const i of l.i) {
    const shape = shapes[i[0]].n;
    if (shape === 'advanced' || shape === 'turned' || shape === 'injected' && i[2] > 0) moves.push([drawnMoves[moves.length], i]);
  }
  function set(e, attributes) { for (const a in attributes) e.setAttribute(a, attributes[a]); }
  // A refusal can be reached with the keyboard.
  function reach(g, n, text) {
    if (events[n].f) set(g, { tabindex: 0, role: 'button', 'aria-label': text });
  }

  const isFirst = (n) => n === 0 || lanes[n - 1].g !== lanes[n].g;
  let near = new Set(), spots = new Map(), keyRows = new Map();
  function light(g, all) {
    g.classList.toggle('near', all.some((n) => near.has(n)));
    g.classList.toggle('chosen', all.includes(chosen));
  }

  function draw() {
    width = frame.clientWidth;
    narrow = width < 720;
    const head = narrow ? 15 : 0;
    near = new Set(chosen < 0 ? [] : chainOf(chosen));
    spots = new Map();
    keyRows = new Map();
    const tall = (l, n) => narrow ? head + l.r * drawn.row + 2 * drawn.pad : Math.max(l.r * drawn.row + 2 * drawn.pad, l.l && isFirst(n) ? 37 : 0);
    const height = drawn.axis + lanes.reduce((sum, l, n) => sum + tall(l, n), 0) + 6, bottom = height - 6;
    const focused = document.activeElement && document.activeElement.getAttribute('data-e');
    set(svg, { viewBox: '0 0 ' + width + ' ' + height, width, height });
    set(part, { x: gutter() - 8, width: width - gutter() + 8, height });
    for (const [e, [, , from, to]] of moves) {
      if (e.localName === 'rect') set(e, { x: at(from), width: Math.max(at(to) - at(from), 0), height: bottom - drawn.axis });
      else set(e, { d: 'M' + at(from) + ' ' + drawn.axis + 'V' + bottom });
    }
    ticksDrawn.replaceChildren(...ticks().map((k) => {
      const g = tick.cloneNode(true), [line, clock, since] = g.children;
      set(line, { d: 'M' + k.x + ' ' + (drawn.axis - 8) + 'V' + bottom });
      for (const [e, text] of [[clock, k.clock], [since, k.since]]) { set(e, { x: k.x }); e.textContent = text; }
      return g;
    }));
    let y = drawn.axis;
    lanes.forEach((l, n) => {
      const high = tall(l, n);
      if (n % 2 === 0) set(stripes[n / 2], { y, width, height: high });
      placeName(names[n], l, n, y, high);
      drawLane(l, narrow ? y + head + drawn.pad : y + (high - l.r * drawn.row) / 2);
      y += high;
    });
    for (const old of body.querySelectorAll('.link')) old.remove();
    if (chosen >= 0) drawLinks(body);
    remember();
    frame.classList.toggle('chosen', chosen >= 0);
    if (focused && !document.contains(document.activeElement.closest('.i'))) { const again = [...svg.querySelectorAll('[tabindex]')].find((e) => e.getAttribute('data-e') === focused); if (again) again.focus({ preventScroll: true }); }
    by('in').disabled = view[1] - view[0] <= closest * 1.001;
    by('out').disabled = by('all').disabled = view[1] - view[0] >= 1;
    by('earlier').disabled = view[0] <= 0;
    by('later').disabled = view[1] >= 1;
  }

  // The group stands above the label of its first lane; on a narrow screen before each.
  function placeName(name, l, n, y, high) {
    let group = name.querySelector('.group');
    if (!group) { group = el('text', { class: 'group' }, l.g); name.querySelector('title').after(group); }
    const label = name.querySelector('.quiet'), mid = narrow ? y + 13 : y + high / 2 + 4, x = narrow ? 8 : 10;
    const apart = !narrow && isFirst(n) && l.l ? 7 : 0;
    group.style.display = narrow || isFirst(n) ? '' : 'none';
    set(group, { x, y: mid - apart });
    if (!label) return;
    const before = narrow ? wide(l.g) * 1.1 + 8 : 0;
    label.textContent = fit(l.l, narrow ? width - 20 - before : gutter() - 20);
    set(label, { x: narrow ? x + group.getComputedTextLength() + 6 : x, y: mid + apart });
  }

  function drawLane(l, top) {
    const left = gutter() - 10, right = width + 10;
    for (const { i: [s, row, from, to, n, text], g, rect, halo, text: label } of l.bars) {
      const a = at(from), b = at(to), seen = b >= left && a <= right;
      g.style.display = seen ? '' : 'none';
      if (!seen) continue;
      const shape = shapes[s].n, x = Math.max(a, left), w = Math.max(Math.min(b, right) - x, 2), h = shape === 'rest' ? drawn.bar - 6 : drawn.bar;
      const y = top + row * drawn.row + (drawn.row - h) / 2, start = Math.max(a, gutter());
      light(g, [n]);
      set(rect, { x, y, width: w, height: h });
      set(halo, { x: x - 2, y: y - 2, width: w + 4, height: h + 4 });
      if (label) {
        label.textContent = fitWords(text, Math.min(b, width - drawn.right) - start - 8);
        set(label, { x: start + 4, y: y + h - 2.6 });
      }
      if (shape === 'signing') keyRows.set(events[n].kid, y + h / 2);
      if (shape !== 'rest' && shape !== 'token' && shape !== 'expired') spots.set(n, [start + Math.min(w, 6), y + h / 2]);
    }
    const open = new Map(), points = [];
    for (const [s, row, from, , n] of l.i) {
      const a = at(from);
      if (shapes[s].b || a < left || a > right) continue;
      const key = s + ' ' + row, c = open.get(key);
      if (c && a - c.from < crowd(c.list.length)) { c.list.push(n); c.to = a; continue; }
      const fresh = { s, row, from: a, to: a, list: [n] };
      open.set(key, fresh);
      points.push(fresh);
    }
    l.points.replaceChildren();
    points.sort((p, q) => (shapes[p.s].n === 'denied') - (shapes[q.s].n === 'denied'));
    for (const p of points) {
      const shape = shapes[p.s], x = (p.from + p.to) / 2, y = top + p.row * drawn.row + drawn.row / 2, one = p.list.length === 1;
      const e = events[p.list[0]];
      const text = one ? when(e.t) + ' ' + e.s : p.list.length + ' × ' + shape.m + ', ' + when(e.t) + ' to ' + when(events[p.list[p.list.length - 1]].t);
      const g = el('g', { class: 'i', 'data-e': p.list.join(' ') });
      g.append(el('title', {}, text));
      reach(g, p.list[0], text);
      light(g, p.list);
      l.points.append(g);
      for (const n of p.list) spots.set(n, [x, y]);
      if (one) {
        const mark = symbols[p.s].cloneNode(true), place = el('g', { transform: 'translate(' + x + ' ' + y + ')' });
        place.append(mark, el('circle', { class: 'halo', r: 9.5 }), el('circle', { r: 11, fill: 'transparent' }));
        g.append(place);
        continue;
      }
      const bad = shape.n === 'denied' || shape.n === 'broke', many = (bad ? '✗' : '') + p.list.length, half = 4 + wide(many) / 2;
      const open = shape.n === 'challenge' || shape.n === 'ended' || shape.n === 'removed';
      const rx = bad || shape.n === 'ended' || shape.n === 'fault' ? 2 : 7;
      g.append(el('rect', { class: shape.n, x: x - half, y: y - 7, width: 2 * half, height: 14, rx }), el('rect', { class: 'halo', x: x - half - 2.5, y: y - 9.5, width: 2 * half + 5, height: 19, rx: rx + 1 }),
        el('text', { class: open ? 'within' : 'on', x, y: y + 3.5, 'text-anchor': 'middle' }, many));
    }
  }

  // The token's way: from the key that signed it to its file, its exchanges, and what was asked with it.
  function drawLinks(body) {
    const link = (a, b) => {
      if (!a || !b || a[0] === b[0] && a[1] === b[1]) return;
      const mid = (a[1] + b[1]) / 2;
      body.append(el('path', { class: 'link', d: 'M' + a[0] + ' ' + a[1] + 'C' + a[0] + ' ' + mid + ' ' + b[0] + ' ' + mid + ' ' + b[0] + ' ' + b[1] }));
    };
    const way = [...near], files = way.filter((n) => events[n].k === 'projection'), grants = way.filter((n) => events[n].k === 'exchange' && events[n].uti);
    for (const n of way) {
      const e = events[n], spot = spots.get(n);
      if (e.k === 'exchange') link(spots.get(files.findLast((f) => f < n && events[f].jti === e.jti)), spot);
      else if (e.k === 'access') link(spots.get(grants.find((g) => events[g].uti === e.uti)), spot);
      else if (e.k === 'projection' && spot && keyRows.has(e.kid)) link([spot[0], keyRows.get(e.kid)], spot);
    }
  }

  // The panel.
  function choose(n, move) {
    if (n < 0 || n >= events.length) return;
    chosen = n;
    const e = events[n];
    panel.hidden = false;
    panel.classList.toggle('bad', !!e.f);
    document.body.classList.add('open');
    by('what').textContent = (e.f ? '✗ ' : '') + e.s;
    tell(e.x || e.k + ' at ' + when(e.t) + ' (lab time), event ' + e.i + '\n' + e.s + '\n\nwiemu explain ' + e.i + ' says more.');
    const others = [...chainOf(n)];
    list(others.length > 1 ? others : [], n);
    by('before').disabled = n === 0;
    by('after').disabled = n === events.length - 1;
    panel.scrollTop = 0;
    if (move) {
      const spot = share(placeAt(n));
      if (spot < view[0] || spot > view[1]) { const size = view[1] - view[0]; view = [spot - size / 2, spot + size / 2]; view[0] = Math.min(Math.max(view[0], 0), 1 - size); view[1] = view[0] + size; }
    }
    draw();
    const mark = frame.querySelector('.chosen'), sheet = panel.getBoundingClientRect();
    if (!mark) return;
    const box = mark.getBoundingClientRect(), top = document.querySelector('.tools').getBoundingClientRect().bottom;
    const free = sheet.left > 0 ? innerHeight : sheet.top; // a sheet from below covers the picture's end
    if (box.bottom > free - 20) scrollBy(0, box.bottom - free + 60);
    else if (box.top < top) scrollBy(0, box.top - top - 20);
  }
  // An explanation: checks that passed are folded, what failed stands out.
  function tell(text) {
    const parts = [];
    for (const line of text.replace(/\n+$/, '').split('\n')) {
      const last = parts[parts.length - 1];
      const kind = line.startsWith('  ✓ ') ? 'passed' : line.startsWith('  ✗ ') || last && last.kind === 'failed' && line.startsWith('      ') ? 'failed' : '';
      if (last && last.kind === kind) last.lines.push(line); else parts.push({ kind, lines: [line] });
    }
    by('why').replaceChildren(...parts.map((p) => {
      const pre = document.createElement('pre');
      pre.textContent = p.lines.join('\n');
      if (p.kind !== 'passed' || p.lines.length < 4) { pre.className = p.kind; return pre; }
      const fold = document.createElement('details'), title = document.createElement('summary');
      fold.className = 'fold';
      title.textContent = '✓ ' + p.lines.length + ' checks passed';
      fold.append(title, pre);
      return fold;
    }));
  }
  const places = new Map();
  for (const l of lanes) for (const i of l.i) if (!places.has(i[4]) || !shapes[i[0]].b) places.set(i[4], i[2]);
  const placeAt = (n) => places.has(n) ? places.get(n) : placeOf(events[n].t);

  // The buttons in the panel: a token's way, or what is in a crowd.
  function list(these, here) {
    by('chain').replaceChildren(...these.slice(0, 60).map((n) => {
      const b = document.createElement('button');
      b.textContent = (n === here ? '▸ ' : '') + (events[n].f ? '✗ ' : '') + events[n].k + ' ' + iso(events[n].t).slice(11, 19);
      b.title = events[n].s;
      if (events[n].f) b.className = 'bad';
      b.addEventListener('click', () => choose(n, true));
      return b;
    }));
  }
  function chooseAny(numbers) {
    if (numbers.length === 1) return choose(numbers[0]);
    chosen = -1;
    draw();
    panel.hidden = false;
    document.body.classList.add('open');
    panel.classList.toggle('bad', !!events[numbers[0]].f);
    by('what').textContent = numbers.length + ' events';
    tell(numbers.length > 60 ? 'The first 60 of them; zoom in for the others.' : 'Choose one of them.');
    by('before').disabled = by('after').disabled = true;
    list(numbers, -1);
  }
  function close() {
    chosen = -1;
    panel.hidden = true;
    document.body.classList.remove('open');
    draw();
  }
  function nextRefusal(by) {
    for (let k = 1; k <= events.length; k++) {
      const n = ((chosen < 0 && by < 0 ? 0 : chosen) + by * k + 2 * events.length) % events.length;
      if (events[n].f) return choose(n, true);
    }
  }

  // Hands: wheel, drag, pinch, keys, buttons.
  const pixel = (e) => e.clientX - frame.getBoundingClientRect().left;
  frame.addEventListener('wheel', (e) => {
    if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) { e.preventDefault(); return pan(e.deltaX / plot()); }
    if (e.shiftKey) { e.preventDefault(); return pan(e.deltaY / plot()); }
    e.preventDefault();
    zoom(Math.pow(1.0015, e.deltaY * (e.deltaMode ? 16 : 1)), pixel(e));
  }, { passive: false });
  const fingers = new Map();
  let moved = 0;
  frame.addEventListener('pointerdown', (e) => { if (e.button) return; fingers.set(e.pointerId, pixel(e)); if (fingers.size === 1) moved = 0; });
  window.addEventListener('pointermove', (e) => {
    if (!fingers.has(e.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(e.pointerId, pixel(e));
    const now = [...fingers.values()];
    if (now.length === 1) {
      moved += Math.abs(now[0] - before[0]);
      if (moved > 5) { frame.classList.add('dragging'); pan((before[0] - now[0]) / plot()); }
    } else {
      moved = 99;
      const apart = Math.max(Math.abs(before[0] - before[1]), 10), then = Math.max(Math.abs(now[0] - now[1]), 10);
      zoom(apart / then, (now[0] + now[1]) / 2);
    }
  });
  for (const end of ['pointerup', 'pointercancel']) window.addEventListener(end, (e) => { fingers.delete(e.pointerId); if (!fingers.size) frame.classList.remove('dragging'); });
  frame.addEventListener('click', (e) => {
    if (moved > 5) return;
    const g = e.target.closest('.i');
    if (g) chooseAny(g.getAttribute('data-e').split(' ').map(Number));
    else if (!panel.hidden) close();
  });
  frame.addEventListener('keydown', (e) => {
    const g = e.target.closest('.i');
    if (g && (e.key === 'Enter' || e.key === ' ')) { e.preventDefault(); chooseAny(g.getAttribute('data-e').split(' ').map(Number)); }
  });
  const actions = {
    in: () => zoom(.6), out: () => zoom(1 / .6), all: () => show(0, 1), earlier: () => pan(-.3), later: () => pan(.3), refusal: () => nextRefusal(1),
    before: () => choose(chosen - 1, true), after: () => choose(chosen + 1, true), close,
    scale: () => {
      const from = timeAtPixel(gutter()), to = timeAtPixel(gutter() + plot()), everything = view[1] - view[0] >= 1;
      toScale = !toScale;
      by('scale').setAttribute('aria-pressed', toScale);
      by('stretched').hidden = toScale;
      by('straight').hidden = !toScale;
      if (everything) show(0, 1); else show(share(placeOf(from)), share(placeOf(to)));
    },
    theme: () => {
      const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
      document.documentElement.dataset.theme = dark ? 'light' : 'dark';
    },
  };
  for (const name in actions) by(name).addEventListener('click', actions[name]);
  const keys = { '+': 'in', '=': 'in', '-': 'out', 0: 'all', ArrowLeft: 'earlier', ArrowRight: 'later', n: 'refusal', s: 'scale', Escape: 'close' };
  document.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === 'N' || e.key === 'p') return nextRefusal(-1);
    const name = keys[e.key];
    if (!name || name === 'close' && panel.hidden) return;
    e.preventDefault();
    actions[name]();
  });

  by('refusal').disabled = !events.some((e) => e.f);
  document.querySelector('.tools').hidden = by('keys').hidden = false;
  frame.classList.add('live');
  new ResizeObserver(() => { if (frame.clientWidth !== width) draw(); }).observe(frame);
  draw();
  fromHash();
  window.addEventListener('hashchange', fromHash);
})();
