// The lab: what its control API answers, and what its journal tells as it happens.

// Refused is what the lab refuses, with the field that is wrong if it says so.
export class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered ${status}`);
    this.status = status;
    this.field = body.field;
    this.fields = body.fields ?? [];
  }
}

// ask asks the control API.
export async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(`api${path}`, { method, body: body === undefined ? undefined : JSON.stringify(body), headers: body === undefined ? {} : { 'Content-Type': 'application/json' } });
  } catch {
    throw new Refused(0, { error: 'The server does not answer. Is it still running?' });
  }
  if (response.status === 401) {
    connection.set('out');
    throw new Refused(401, { error: signedOut });
  }
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { error: text.trim() };
  }
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

export const signedOut = 'This browser is not signed in any more, or the server has been started again. Run wiemu console, and open the link that it prints.';

// Observable tells its listeners of every change, once a frame at most.
class Observable {
  #listeners = new Set();
  #due = false;

  // listen calls f after each change and returns what ends that.
  listen(f) {
    this.#listeners.add(f);
    return () => this.#listeners.delete(f);
  }

  changed() {
    if (this.#due) return;
    this.#due = true;
    // A page that is not seen has no frames, and needs none.
    setTimeout(() => {
      this.#due = false;
      for (const f of [...this.#listeners]) f();
    }, 50);
  }
}

// The oldest events are dropped: most is how many are kept, mostText of how many characters of
// JSON. An exchange with its checks has some 5,000.
export const most = 10_000;
export const mostText = 24_000_000;

class Events extends Observable {
  all = [];
  dropped = 0;
  ready = false;
  #byId = new Map();
  #sizes = []; // of the events, in characters
  #size = 0; // all of them

  add(e, size) {
    this.all.push(e);
    this.#byId.set(e.id, e);
    this.#sizes.push(size);
    this.#size += size;
    if (this.all.length > most * 1.1 || this.#size > mostText * 1.1) this.#shorten();
    this.changed();
  }

  // shorten drops a tenth at a time, since what shows all events begins again then.
  #shorten() {
    let drop = 0;
    for (; this.all.length - drop > most || this.#size > mostText; drop++) this.#size -= this.#sizes[drop];
    for (const old of this.all.splice(0, drop)) this.#byId.delete(old.id);
    this.#sizes.splice(0, drop);
    this.dropped += drop;
  }

  get(id) { return this.#byId.get(id); }

  clear() {
    this.all = [];
    this.#byId.clear();
    this.#sizes = [];
    this.#size = this.dropped = 0;
    this.changed();
  }
}

class Connection extends Observable {
  state = 'opening'; // opening, open, lost, full or out
  text = ''; // what the server says, if it is full

  set(state, text = '') {
    if (this.state === state) return;
    this.state = state;
    this.text = text;
    this.changed();
  }
}

class Status extends Observable {
  value = null;
  #at = 0; // when it was asked for, by this machine's clock

  async refresh() {
    try {
      this.take(await ask('GET', '/v1/status'));
    } catch {
      return; // the connection says so
    }
  }

  take(status) {
    this.value = status;
    this.#at = performance.now();
    this.changed();
  }

  // now is lab time in milliseconds.
  now() {
    if (!this.value) return Date.now();
    return Date.parse(this.value.now) + (performance.now() - this.#at) * this.value.speed;
  }
}

export const events = new Events();
export const connection = new Connection();
export const status = new Status();

// isRefusal tells what was refused or failed. A challenge is what every client of a vault asks
// for first.
export const isRefusal = (e) => (e.outcome === 'denied' || e.outcome === 'failed') && !e.detail?.challenge;

// outcomeOf is the word for how an event ended, as people say it.
export const outcomeOf = (e) => (e.outcome === 'denied' ? 'refused' : e.outcome);

let source = null;
let last = ''; // id of the last event that came

// follow opens the stream of events, which the browser opens again when it breaks. A page that
// is not seen closes it: a browser has six connections to a server, for all its pages together.
export function follow() {
  open();
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      open();
    }
  });
}

function open() {
  if (document.hidden) return;
  const address = `events?${new URLSearchParams({ after: last })}`;
  const own = new EventSource(address);
  source = own;
  own.onopen = () => {
    connection.set('open');
    status.refresh();
  };
  own.onerror = async () => {
    if (connection.state !== 'full') connection.set('lost');
    if (own.readyState !== EventSource.CLOSED) return; // the browser tries again
    await refusal(address);
    if (connection.state !== 'out') setTimeout(() => { if (source === own) open(); }, 2000);
  };
  own.addEventListener('reset', () => {
    last = '';
    events.clear();
  });
  own.addEventListener('missed', (m) => { events.dropped += Number(m.data); });
  own.addEventListener('ready', () => {
    events.ready = true;
    events.changed();
  });
  own.onmessage = (m) => {
    last = m.lastEventId;
    const e = JSON.parse(m.data);
    events.add(e, m.data.length);
    if (e.kind === 'clock' || e.kind === 'key-rotation') refreshSoon();
  };
}

// refusal finds out why the server gives no stream, which the browser does not tell.
async function refusal(address) {
  try {
    const response = await fetch(address);
    if (response.status === 401) connection.set('out');
    else if (response.status === 503) {
      connection.set('full', await response.text());
      status.refresh();
    } else await response.body.cancel(); // it would be a stream now
  } catch {
    connection.set('lost');
  }
}

let refreshing = null;

function refreshSoon() {
  refreshing ??= setTimeout(() => {
    refreshing = null;
    status.refresh();
  }, 150);
}

// whenChanged calls f now and again soon after events that match, until what it returns is called.
export function whenChanged(match, f) {
  let seen = events.all.at(-1)?.id;
  let timer = null;
  f();
  const end = events.listen(() => {
    const from = events.all.findLastIndex((e) => e.id === seen) + 1;
    const fresh = events.all.slice(from);
    seen = events.all.at(-1)?.id;
    if (!fresh.some(match)) return;
    timer ??= setTimeout(() => { // not later because of what comes meanwhile, which may never end
      timer = null;
      f();
    }, 200);
  });
  return () => {
    clearTimeout(timer);
    end();
  };
}
