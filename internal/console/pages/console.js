// The frame of the pages: which one is shown, the lab's time, and whether the server answers.
import { h, span } from './dom.js';
import { connection, events, follow, isRefusal, signedOut, status } from './lab.js';
import * as control from './control.js';
import * as errors from './errors.js';
import * as live from './live.js';
import * as resources from './resources.js';
import * as scenarios from './scenarios.js';
import * as token from './token.js';
import * as trust from './trust.js';
import * as workloads from './workloads.js';

const pages = { workloads, trust, live, token, control, resources, scenarios, errors };
const renamed = { steer: 'control' }; // addresses of earlier versions
const main = document.getElementById('main');
let end = null;

for (const [name, page] of Object.entries(pages)) {
  document.getElementById('pages').append(h('li', {}, h('a', { href: `#/${name}`, 'data-page': name }, page.title, name === 'live' ? h('span', { id: 'refusals' }) : null)));
}

// show shows the page that the address names: #/NAME/PART?QUERY.
function show(focus) {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [asked, ...parts] = path.split('/').map(decodeURIComponent);
  const name = Object.hasOwn(renamed, asked) ? renamed[asked] : asked;
  const page = Object.hasOwn(pages, name) ? pages[name] : workloads;
  for (const a of document.querySelectorAll('nav a')) {
    if (pages[a.dataset.page] === page) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  end?.();
  main.replaceChildren();
  document.title = `${page.title} - wiemu console`;
  end = page.show(main, parts, new URLSearchParams(query ?? ''));
  if (focus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function showClock() {
  const s = status.value;
  if (!s) return;
  const now = new Date(status.now()).toISOString();
  const ahead = (status.now() - Date.now()) / 1000;
  const notes = [];
  if (s.speed === 0) notes.push('stands still');
  else if (s.speed !== 1) notes.push(`runs ${s.speed} times as fast`);
  if (Math.abs(ahead) >= 60) notes.push(`${span(ahead)} ${ahead > 0 ? 'ahead' : 'behind'}`);
  for (const [part, by] of Object.entries(s.skews ?? {})) notes.push(`${part} ${by.replace(/^(?!-)/, '+')}`);
  const text = `Lab time ${now.slice(0, 10)} ${now.slice(11, 19)} UTC${notes.length ? ` (${notes.join(', ')})` : ''}`;
  const clock = document.getElementById('clock');
  if (clock.textContent !== text) clock.textContent = text;
}

function showConnection() {
  const banner = document.getElementById('banner');
  const texts = { lost: 'The server does not answer. The page shows what was known before, and tries again.', full: connection.text, out: signedOut };
  const text = texts[connection.state] ?? '';
  banner.className = `banner${text ? ' bad' : ''}`;
  banner.textContent = text;
}

function countRefusals() {
  const n = events.all.reduce((sum, e) => sum + (isRefusal(e) ? 1 : 0), 0);
  const badge = document.getElementById('refusals');
  badge.className = n ? 'count' : '';
  badge.textContent = n ? String(n) : '';
  badge.title = n ? `${n} refused or failed so far` : '';
}

addEventListener('hashchange', () => show(true));
connection.listen(showConnection);
status.listen(showClock);
events.listen(countRefusals);
setInterval(showClock, 1000);
setInterval(() => { if (!document.hidden && connection.state === 'open') status.refresh(); }, 10_000);
follow();
show(false);
