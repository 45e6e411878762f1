// What the service does, as it comes: the events of /v1/events, and behind them the time series of /v1/timeseries.
// roles/web/HTTP.md describes both.
import { signIn } from './sign_in.js';

const SECONDS_KEPT = 3660;
const RECONNECT_MS = 3000; // where the browser gives a stream up
const DENIED_MS = 30e3;    // the same where the caller's key lacks the right
const TIMEOUT_MS = 10e3;
const FILL_SECONDS = 45;   // the controller looks seldom while nothing is to do: its last word holds so long

async function getJson(path) {
  const response = await fetch(path, { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (response.status === 401) {
    await signIn();
    return getJson(path);
  }
  if (response.status === 403) {
    const denied = (await response.json().catch(() => null))?.detail ?? 'The service refuses it.';
    throw Object.assign(new Error(denied), { denied });
  }
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

export const getStatus = () => getJson('/v1/status');

// Values by time of one resolution.
class Series {
  #columns = new Map(); // name → Map(second → value)
  latest = 0;           // second of which a value is known

  constructor(step, kept) {
    this.step = step;
    this.kept = kept;
  }

  put(name, second, value) {
    if (value === null) return;
    if (!this.#columns.has(name)) this.#columns.set(name, new Map());
    const column = this.#columns.get(name);
    const at = Math.floor(second / this.step) * this.step;
    this.latest = Math.max(this.latest, at);
    column.set(at, value);
    while (column.size > this.kept) column.delete(column.keys().next().value);
  }

  // The values of [from, until] in steps; null where nothing is known. `from` is a whole number of steps. A value holds until
  // the next, for so many seconds at most.
  read(name, from, until, holds = FILL_SECONDS) {
    const column = this.#columns.get(name) ?? new Map();
    const fill = Math.max(holds, this.step);
    const values = [];
    let known = null, knownAt = -Infinity;
    for (let second = from - Math.ceil(fill / this.step) * this.step; second <= until; second += this.step) {
      if (column.has(second)) [known, knownAt] = [column.get(second), second];
      if (second >= from) values.push(second - knownAt < fill ? known : null);
    }
    return values;
  }
}

// Follows the service while somebody watches. Handlers: onChange() after anything new; onConnection(isConnected).
export class Live {
  #source = null;
  #retry = null;
  #handlers;

  constructor(handlers) {
    this.#handlers = handlers;
    this.seconds = new Series(1, SECONDS_KEPT);
    this.minutes = new Series(60, 1500);
    this.status = null;
    this.machines = null;
    this.decisions = []; // newest first
    this.connected = false;
    this.denied = '';    // why the service tells this caller nothing
    this.offset = 0;     // of the service's clock, in seconds: what it says minus what this machine says
  }

  // The present second of the service's clock.
  get now() {
    return Math.floor(Date.now() / 1000 + this.offset);
  }

  start() {
    if (this.#source || this.#retry) return;
    const source = new EventSource('/v1/events');
    this.#source = source;
    source.addEventListener('open', () => this.#setConnected(true));
    source.addEventListener('snapshot', (event) => this.#onSnapshot(JSON.parse(event.data)));
    source.addEventListener('status', (event) => this.#onStatus(JSON.parse(event.data)));
    source.addEventListener('fleet', (event) => { this.machines = JSON.parse(event.data); this.#handlers.onChange(); });
    source.addEventListener('decision', (event) => this.#addDecisions([JSON.parse(event.data)]));
    source.addEventListener('error', () => {
      this.#setConnected(false);
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      this.stop();
      this.#retry = setTimeout(() => { this.#retry = null; this.start(); }, this.denied ? DENIED_MS : RECONNECT_MS);
      this.#explain();
    });
  }

  // A stream that is refused does not say why: the same right is needed for the status, which does.
  async #explain() {
    try {
      await getStatus();
      this.denied = '';
    } catch ({ denied = '' }) {
      this.denied = denied;
    }
    if (this.denied) this.#handlers.onConnection(false);
  }

  stop() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#source?.close();
    this.#source = null;
    this.connected = false;
  }

  #setConnected(connected) {
    // What came while nobody was connected is in the series.
    if (connected && !this.connected) this.#catchUp();
    if (connected) this.denied = '';
    this.connected = connected;
    this.#handlers.onConnection(connected);
  }

  async #catchUp() {
    await Promise.allSettled([
      this.#load(this.seconds, `resolution=second&since=${this.seconds.latest || Math.floor(Date.now() / 1000) - 3600}`),
      this.loadDay(),
    ]);
    this.#handlers.onChange();
  }

  loadDay() {
    return this.#load(this.minutes, `resolution=minute&since=${this.minutes.latest || 0}`);
  }

  async #load(series, query) {
    const { series: columns } = await getJson(`/v1/timeseries?${query}`);
    for (const [name, points] of Object.entries(columns)) {
      for (const [second, mean] of points) series.put(name, second, mean);
    }
  }

  #takeStatus(status) {
    this.status = status;
    this.offset = Date.parse(status.now) / 1000 - Date.now() / 1000;
    this.#addDecisions(status.decisions);
    for (const name of ['answered_per_s', 'wait_p50_s', 'wait_p95_s']) {
      this.seconds.put(name, Math.floor(Date.parse(status.now) / 1000), status.node[name]);
    }
  }

  #onSnapshot({ status, fleet }) {
    if (status) this.#takeStatus(status);
    if (fleet) this.machines = fleet;
    this.#handlers.onChange();
  }

  #onStatus({ status, samples }) {
    this.#takeStatus(status);
    const [, ...names] = samples.columns;
    for (const [second, ...values] of samples.rows) {
      names.forEach((name, i) => {
        this.seconds.put(name, second, values[i]);
        this.minutes.put(name, second, values[i]);
      });
    }
    this.#handlers.onChange();
  }

  #addDecisions(decisions) {
    const known = new Set(this.decisions.map(({ at }) => at));
    const fresh = decisions.filter(({ at }) => !known.has(at));
    if (!fresh.length) return;
    this.decisions = [...fresh, ...this.decisions].sort((a, b) => b.at.localeCompare(a.at)).slice(0, 200);
    this.#handlers.onChange();
  }
}
