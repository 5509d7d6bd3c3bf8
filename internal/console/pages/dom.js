// Makes elements. What comes from the lab only ever becomes text or the value of an attribute:
// nothing here, or in a page, makes markup of it.

// h returns an element. In props, on… are event listeners, true is an attribute without a
// value, and false, null or undefined leave one out. Children are nodes, texts, or lists of them.
export function h(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) e.setAttribute(name, value);
  }
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== ''));
  return e;
}

let lastId = 0;

// newId returns an id that nothing else on the page has.
export const newId = () => `id-${++lastId}`;

// copyable shows a value with a button that copies it.
export function copyable(value, what) {
  if (!value) return h('span', { class: 'none' }, 'none');
  const button = h('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${what}`, onclick: () => copy(value, button) }, 'Copy');
  return h('span', { class: 'copyable' }, h('code', {}, value), button);
}

async function copy(value, button) {
  let done = 'Copied';
  try {
    await navigator.clipboard.writeText(value);
  } catch {
    const code = button.parentNode.querySelector('code');
    getSelection().selectAllChildren(code);
    done = 'Selected';
  }
  button.textContent = done;
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
}

// facts is a list of names and values; rows without a value are left out.
export function facts(rows) {
  return h('dl', { class: 'facts' }, rows.filter(([, v]) => v !== null && v !== undefined && v !== '').map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

// table is a table with a heading for each column; caption is for those who do not see it. On a
// narrow screen each row is a list of its cells with their headings (console.css); the roles say
// that it is a table still.
export function table(caption, columns, rows) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', { role: 'table' }, h('caption', { class: 'unseen' }, caption),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map((c) => h('th', { scope: 'col', role: 'columnheader' }, c || h('span', { class: 'unseen' }, 'Actions'))))),
      h('tbody', { role: 'rowgroup' }, rows.map((cells) => h('tr', { role: 'row' }, cells.map((c, n) => h('td', { role: 'cell', 'data-column': columns[n] || null }, Array.isArray(c) ? h('span', {}, c) : c)))))));
}

// badge is a word with a colour: good, bad or quiet.
export const badge = (kind, text) => h('span', { class: `badge ${kind}` }, text);

// field is a labelled control with a hint and room for what is wrong with it.
export function field(label, control, hint) {
  const id = control.id || (control.id = newId());
  const wrong = h('p', { class: 'wrong', id: `${id}-wrong` });
  const about = hint ? h('p', { class: 'hint', id: `${id}-hint` }, hint) : null;
  control.setAttribute('aria-describedby', `${id}-wrong${hint ? ` ${id}-hint` : ''}`);
  const required = control.required ? h('span', { class: 'required', 'aria-hidden': 'true' }, ' *') : null;
  const e = h('div', { class: 'field' }, h('label', { for: id }, label, required), control, about, wrong);
  e.refuse = (text) => {
    wrong.textContent = text ?? '';
    if (text) control.setAttribute('aria-invalid', 'true');
    else control.removeAttribute('aria-invalid');
  };
  return e;
}

// input is a text field; select a choice of [value, text] pairs or of texts.
export const input = (props) => h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', ...props });

export function select(options, props) {
  return h('select', props, options.map((o) => (Array.isArray(o) ? h('option', { value: o[0] }, o[1]) : h('option', { value: o }, o))));
}

// command shows the command line that does the same; line is called whenever something changes.
export function command(line) {
  const code = h('code', {});
  const button = h('button', { type: 'button', class: 'copy', 'aria-label': 'Copy the command', onclick: () => copy(code.textContent, button) }, 'Copy');
  const e = h('p', { class: 'command' }, h('span', { 'aria-hidden': 'true' }, '$ '), h('span', { class: 'copyable' }, code, button));
  e.update = () => { code.textContent = line().map(quote).join(' '); };
  e.update();
  return e;
}

// quote makes a word of a POSIX shell of a text.
export function quote(text) {
  return /^[A-Za-z0-9_\/.:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

// outcome says how something that was asked for has ended, for everybody.
export function outcome() {
  const e = h('p', { class: 'outcome', role: 'status' });
  e.say = (kind, text) => {
    e.className = `outcome ${kind}`;
    e.textContent = text;
  };
  return e;
}

// time writes a moment in UTC, as the lab's events have it.
export const time = (text) => (text ? text.replace('T', ' ').replace(/(\.\d+)?Z$/, '') : '');

// clockTime writes the time of day with milliseconds.
export const clockTime = (text) => (text ? (text.match(/T([\d:]+)(\.\d{1,3})?/) ?? []).slice(1).join('') : '');

// span writes a number of seconds in words that are exact enough: 2 h 5 min.
export function span(seconds) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const words = [];
  let rest = Math.round(Math.abs(seconds));
  for (const [unit, size] of units) {
    if (rest >= size && words.length < 2) words.push(`${Math.floor(rest / size)} ${unit}`);
    else if (words.length) break;
    rest %= size;
  }
  return words.join(' ') || '0 s';
}

// unlessSame calls draw unless what it is given is the same as the last time, so that what a
// user has focused or selected stays.
export function unlessSame(draw) {
  let last;
  return (...values) => {
    const now = JSON.stringify(values);
    if (now === last) return;
    last = now;
    draw(...values);
  };
}

// held returns a function that tells whether a button or finger is down on an element: what is in
// it has to stay until then, or the click is lost. After that it calls released.
export function held(e, released) {
  let down = false;
  e.addEventListener('pointerdown', (p) => {
    if (down || p.target === e) return; // its scroll bar
    down = true;
    const ended = new AbortController();
    for (const up of ['pointerup', 'pointercancel']) {
      document.addEventListener(up, () => {
        ended.abort();
        setTimeout(() => { // after the click
          down = false;
          released();
        });
      }, { signal: ended.signal, capture: true });
    }
  });
  return () => down;
}
