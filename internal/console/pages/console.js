// The frame of the pages: which one is shown, the lab's time, and whether the server answers.
import { h, span } from './dom.js';
import { connection, events, follow, isRefusal, signedOut, status } from './lab.js';

// The pages and their titles. The one that is asked for is loaded first, so that it is soon there.
const pages = { workloads: 'Workloads', trust: 'Trust', live: 'Live', token: 'Token', control: 'Control', resources: 'Resources', scenarios: 'Scenarios', errors: 'Errors' };
const load = (name) => import(`./${name}.js`);
const renamed = { steer: 'control' }; // addresses of earlier versions
const main = document.getElementById('main');
let end = null;
let shown = 0; // how often show was called

for (const [name, title] of Object.entries(pages)) {
  document.getElementById('pages').append(h('li', {}, h('a', { href: `#/${name}`, 'data-page': name }, title, name === 'live' ? h('span', { id: 'refusals' }) : null)));
}

// show shows the page that the address names: #/NAME/PART?QUERY.
async function show(focus) {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [asked, ...parts] = path.split('/').map(decodeURIComponent);
  const known = Object.hasOwn(renamed, asked) ? renamed[asked] : asked;
  const name = Object.hasOwn(pages, known) ? known : 'workloads';
  for (const a of document.querySelectorAll('nav a')) {
    if (a.dataset.page === name) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  const turn = ++shown;
  end?.();
  end = null;
  main.replaceChildren();
  document.title = `${pages[name]} - wiemu console`;
  const page = await load(name);
  if (turn !== shown) return; // another is asked for by now
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
await show(false);
for (const name of Object.keys(pages)) load(name); // now, for while the server does not answer
