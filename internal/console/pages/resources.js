// Resources: what access tokens open, who may open it, and who opened it last.
import { badge, h, held, time, unlessSame } from './dom.js';
import { ask, events, isRefusal, outcomeOf, whenChanged } from './lab.js';


export function show(main) {
  const list = h('div', { class: 'cards' });
  main.append(h('h1', {}, 'Resources'), h('p', { class: 'lead' }, 'What can be opened in this lab with an access token, and who opened it last. Show displays the value of a secret.'), list);
  let resources = [];
  let roles = { assignments: [], open: [] };
  let cards = [];
  const redraw = unlessSame(() => {
    const groups = new Map();
    for (const r of resources) groups.set(r.title, [...(groups.get(r.title) ?? []), card(r, roles)]);
    cards = [...groups.values()].flat();
    list.replaceChildren(...[...groups].map(([name, members]) => h('section', { class: 'group' }, h('h2', {}, name), members)));
  });
  const draw = () => {
    if (pressed()) return;
    redraw(resources, roles);
    for (const c of cards) c.update();
  };
  const pressed = held(list, draw);
  const end = whenChanged((e) => e.kind === 'directory', async () => {
    try {
      [resources, roles] = await Promise.all([ask('GET', '/v1/resources'), ask('GET', '/v1/roles?identity=&scope=')]);
      draw();
    } catch (err) {
      list.replaceChildren(h('p', { class: 'outcome bad' }, err.message));
    }
  });
  const endAccess = whenChanged((e) => e.kind === 'access', draw);
  return () => {
    end();
    endAccess();
  };
}

// card shows a resource; its update shows who opened it since, and leaves everything else as it is.
function card(r, roles) {
  const on = r.name ? roles.assignments.filter((a) => a.scope.toLowerCase().split('/').includes(r.name)) : [];
  const part = (name, names) => (names?.length ? h('div', {}, h('dt', {}, name), h('dd', {}, names.map((n) => h('code', { class: 'item' }, n)))) : null);
  const inside = r.secrets?.length ? secrets(r) : null;
  const rows = [
    part(r.hosts?.length > 1 ? 'Hosts' : 'Host', r.hosts), inside && h('div', {}, h('dt', {}, 'Secrets'), h('dd', {}, inside)), part('Keys', r.keys), part('Certificates', r.certificates), part('Containers', r.containers), part('Queues', r.queues), part('Databases', r.databases),
    on.length ? h('div', {}, h('dt', {}, 'Roles'), h('dd', {}, h('ul', {}, on.map((a) => h('li', {}, `${a.identity === '*' ? 'Every identity' : a.identity}: ${a.role}`))))) : null,
  ].filter(Boolean);
  const lasts = h('div', {});
  const drawLasts = unlessSame((ids) => lasts.replaceChildren(ids.length ? h('ul', { class: 'lasts' }, ids.map((id) => events.get(id)).map((e) => h('li', {},
    badge(isRefusal(e) ? 'bad' : 'good', outcomeOf(e)), ' ', h('a', { href: `#/live/${encodeURIComponent(e.id)}` }, time(e.time)), ` ${e.identity ?? e.workload ?? ''} ${e.method ?? ''} ${e.path ?? ''}`))) : h('p', { class: 'hint' }, 'No request yet.')));
  const e = h('article', { class: 'card' }, r.name && h('h3', {}, r.name), h('dl', { class: 'facts' }, rows), lasts);
  e.update = () => {
    drawLasts(lastOf(r).map((o) => o.id));
    inside?.update();
  };
  return e;
}

let hide = () => {}; // the value that is shown

// secrets are the names, each with who opened it last; one value is shown at a time.
function secrets(r) {
  const last = new Map(); // what says who opened it last, by name
  const list = h('ul', { class: 'secrets' }, r.secrets.map((name) => {
    const value = h('span', {});
    const button = h('button', { type: 'button', class: 'copy', 'aria-label': `Show the value of ${name}`, onclick: async () => {
      const hidden = button.textContent === 'Show';
      hide();
      if (!hidden) return;
      hide = () => {
        value.replaceChildren();
        button.textContent = 'Show';
        button.setAttribute('aria-label', `Show the value of ${name}`);
      };
      button.textContent = 'Hide';
      button.removeAttribute('aria-label');
      const mine = hide;
      let shown;
      try {
        shown = h('code', { class: 'value' }, (await ask('POST', '/v1/resources/secret', { vault: r.name, name })).value);
      } catch (err) {
        shown = h('span', { class: 'wrong' }, err.message);
      }
      if (hide === mine && button.textContent === 'Hide') value.replaceChildren(shown); // unless it was hidden, or another shown, meanwhile
    } }, 'Show');
    last.set(name, h('span', { class: 'hint' }, 'never opened'));
    return h('li', {}, h('code', {}, name), ' ', button, ' ', value, ' ', last.get(name));
  }));
  list.update = () => {
    for (const [name, said] of last) {
      const e = events.all.findLast((o) => o.kind === 'access' && o.outcome === 'granted' && r.hosts.includes(o.host) && o.path?.split('/')[2] === name);
      const text = e ? `opened by ${e.identity ?? e.workload ?? 'somebody'} at ${time(e.time)}` : 'never opened';
      if (said.textContent !== text) said.textContent = text;
    }
  };
  return list;
}

// lastOf are the newest three requests to a resource, the newest first.
function lastOf(r) {
  const found = [];
  for (let n = events.all.length - 1; n >= 0 && found.length < 3; n--) {
    const e = events.all[n];
    if (e.kind === 'access' && !e.detail?.challenge && (r.hosts.includes(e.host) || (r.name && e.part === r.name))) found.push(e);
  }
  return found;
}
