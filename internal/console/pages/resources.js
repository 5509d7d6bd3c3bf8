// Resources: what access tokens open, who may open it, and who did last.
import { badge, h, time, unlessSame } from './dom.js';
import { ask, events, isRefusal, whenChanged } from './lab.js';

export const title = 'Resources';

export function show(main) {
  const list = h('div', { class: 'cards' });
  main.append(h('h1', {}, 'Resources'), h('p', { class: 'lead' }, 'What access tokens open in this lab, and who did last. The value of a secret is shown when you ask for it.'), list);
  let resources = [];
  let roles = { assignments: [], open: [] };
  const redraw = unlessSame(() => {
    const groups = new Map();
    for (const r of resources) groups.set(r.title, [...(groups.get(r.title) ?? []), r]);
    list.replaceChildren(...[...groups].map(([name, members]) => h('section', { class: 'group' }, h('h2', {}, name), members.map((r) => card(r, roles)))));
  });
  const draw = () => redraw(resources, roles, resources.map((r) => lastOf(r).map((e) => e.id)));
  const end = whenChanged((e) => e.kind === 'directory', async () => {
    try {
      [resources, roles] = await Promise.all([ask('GET', '/v1/resources'), ask('GET', '/v1/roles?identity=&scope=')]);
      draw();
    } catch (err) {
      list.replaceChildren(h('p', { class: 'outcome bad' }, err.message));
    }
  });
  const endAccess = whenChanged((e) => e.kind === 'access', () => resources.length && draw());
  return () => {
    end();
    endAccess();
  };
}

function card(r, roles) {
  const on = r.name ? roles.assignments.filter((a) => a.scope.toLowerCase().split('/').includes(r.name)) : [];
  const part = (name, names) => (names?.length ? h('div', {}, h('dt', {}, name), h('dd', {}, names.map((n) => h('code', { class: 'item' }, n)))) : null);
  const rows = [
    part(r.hosts?.length > 1 ? 'Hosts' : 'Host', r.hosts), r.secrets?.length ? h('div', {}, h('dt', {}, 'Secrets'), h('dd', {}, secrets(r))) : null, part('Keys', r.keys), part('Certificates', r.certificates), part('Containers', r.containers), part('Queues', r.queues), part('Databases', r.databases),
    on.length ? h('div', {}, h('dt', {}, 'Roles'), h('dd', {}, h('ul', {}, on.map((a) => h('li', {}, `${a.identity === '*' ? 'Every identity' : a.identity}: ${a.role}`))))) : null,
  ].filter(Boolean);
  const last = lastOf(r);
  return h('article', { class: 'card' }, r.name && h('h3', {}, r.name), h('dl', { class: 'facts' }, rows),
    last.length ? h('ul', { class: 'lasts' }, last.map((e) => h('li', {}, badge(isRefusal(e) ? 'bad' : 'good', e.outcome), ' ', h('a', { href: `#/live/${encodeURIComponent(e.id)}` }, time(e.time)), ` ${e.identity ?? e.workload ?? ''} ${e.method ?? ''} ${e.path ?? ''}`))) : h('p', { class: 'hint' }, 'Nobody has opened it yet.'));
}

let hide = () => {}; // the value that is shown

// secrets are the names, each with who opened it last; one value is shown at a time.
function secrets(r) {
  return h('ul', { class: 'secrets' }, r.secrets.map((name) => {
    const opened = events.all.findLast((e) => e.kind === 'access' && e.outcome === 'granted' && r.hosts.includes(e.host) && e.path?.split('/')[2] === name);
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
    return h('li', {}, h('code', {}, name), ' ', button, ' ', value, ' ', h('span', { class: 'hint' }, opened ? `opened by ${opened.identity ?? opened.workload ?? 'somebody'} at ${time(opened.time)}` : 'never opened'));
  }));
}

const lastOf = (r) => events.all.filter((e) => e.kind === 'access' && !e.detail?.challenge && (r.hosts.includes(e.host) || (r.name && e.part === r.name))).slice(-3).reverse();
