// The Watch view: the service as it works. What is not known is shown as such, never as 0.
import { DeadLetters } from './dead_letters.js';
import { Live } from './live.js';
import { PLOTS, Plot, clock, dollars, number, seconds } from './plots.js';

const RANGES = {
  minute: { span: 60, step: 1, redrawMs: 1000 },
  hour: { span: 3600, step: 1, redrawMs: 1000 },
  day: { span: 86400, step: 60, redrawMs: 10e3 },
};
const TILES_MS = 1000;
const NEAR = 1 / 60;         // of the axis: a decision so near the cursor is told
const DECISIONS_SHOWN = 30;
const WAITS_HOLD = 3;        // seconds: where nothing is answered nobody waited for an answer
const DAY_RELOAD_MS = 60e3;

const byId = (id) => document.getElementById(id);

function make(tag, className, text = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

export function actionText({ launch, take_back: takeBack, ask_to_stop: ask, terminate, wanted }) {
  const parts = [];
  if (launch) parts.push(`start ${launch}`);
  if (takeBack) parts.push(`keep ${takeBack} that were to stop`);
  if (ask) parts.push(`ask ${ask} to stop`);
  if (terminate) parts.push(`end ${terminate}`);
  return parts.join(', ') || (wanted === null ? 'nothing decided' : `${wanted} wanted`);
}

export class Watch {
  #live = new Live({ onChange: () => this.#soon(), onConnection: (connected) => this.#showConnection(connected) });
  #plots = [];
  #timer = null;
  #drawnAt = 0;
  #range = 'minute';
  #kept = null; // where keys have put the cursor
  #loadedDayAt = 0;
  #library = null;
  #deadLetters = new DeadLetters();

  constructor() {
    for (const input of document.querySelectorAll('input[name="range"]')) {
      input.addEventListener('change', () => { this.#range = input.value; this.#draw(); });
    }
    new MutationObserver(() => this.#recolour()).observe(document.documentElement, { attributeFilter: ['data-theme'] });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#recolour());
    document.addEventListener('visibilitychange', () => this.#follow());
  }

  show(visible) {
    byId('watch').hidden = !visible;
    this.#follow();
    if (visible) this.#prepare();
  }

  // Nobody looks at a page in the background: its connection is given to those who do.
  #follow() {
    const wanted = !byId('watch').hidden && document.visibilityState === 'visible';
    this.#deadLetters.show(wanted);
    if (!wanted) return this.#live.stop();
    this.#live.start();
    this.#soon();
  }

  async #prepare() {
    this.#library ??= new Promise((resolve, reject) => {
      const script = make('script');
      script.src = '/uplot.js';
      script.addEventListener('load', resolve);
      script.addEventListener('error', () => { this.#library = null; reject(new Error('uplot.js')); });
      document.head.append(script);
    });
    try {
      await this.#library;
    } catch {
      return; // the page says that the server does not answer
    }
    if (this.#plots.length) return;
    this.#plots = PLOTS.map((spec) => new Plot(spec, {
      onMoment: (second) => { this.#kept = null; this.#onMoment(second); },
      onStep: (steps) => this.#onStep(steps),
    }));
    byId('plots').addEventListener('focusout', () => { if (this.#kept !== null) this.#keep(null); });
    byId('plots').replaceChildren(...this.#plots.map(({ element }) => element));
    new ResizeObserver(() => { for (const plot of this.#plots) plot.resize(); }).observe(byId('plots'));
    this.#draw();
  }

  #recolour() {
    for (const plot of this.#plots) plot.redraw();
  }

  #soon() {
    if (this.#timer || byId('watch').hidden) return;
    const wait = Math.max(0, this.#drawnAt + RANGES[this.#range].redrawMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#draw();
      if (this.#live.connected) this.#timer = setTimeout(() => { this.#timer = null; this.#soon(); }, TILES_MS);
    }, wait);
  }

  #draw() {
    this.#drawnAt = performance.now();
    this.#showTiles();
    this.#showMachines();
    this.#showDecisions();
    if (!this.#plots.length) return;
    const { span, step } = RANGES[this.#range];
    if (this.#range === 'day' && performance.now() - this.#loadedDayAt > DAY_RELOAD_MS) {
      this.#loadedDayAt = performance.now();
      this.#live.loadDay().then(() => this.#draw(), () => {});
    }
    const series = step === 1 ? this.#live.seconds : this.#live.minutes;
    const until = Math.floor(this.#live.now / step) * step;
    const from = until - span;
    const times = Array.from({ length: span / step + 1 }, (_, i) => from + i * step);
    const marks = this.#live.decisions.map(({ at }) => Date.parse(at) / 1000);
    for (const [i, plot] of this.#plots.entries()) {
      const columns = PLOTS[i].lines.map(([name]) => (name === 'dollars' ? this.#cost(series, from, until) : series.read(name, from, until, name.startsWith('wait_') ? WAITS_HOLD : undefined)));
      plot.show([times, ...columns], marks);
      if (this.#kept !== null) plot.moveTo(this.#kept);
    }
  }

  // What was spent since the begin of the axis: in dollars, or in machine time where machines cost nothing.
  #cost(series, from, until) {
    const spent = series.read('machine_seconds', from, until);
    const first = spent.find((one) => one !== null);
    const price = this.#live.status?.cost?.dollars_per_hour ?? 0;
    return spent.map((one) => (one === null ? null : (one - first) / 3600 * price));
  }

  #onStep(steps) {
    const { span, step } = RANGES[this.#range];
    const until = Math.floor(this.#live.now / step) * step;
    const stride = Math.max(1, Math.round(span / step / 60)) * step;
    this.#keep(Math.min(Math.max((this.#kept ?? until) + steps * stride, until - span), until));
  }

  #keep(second) {
    this.#kept = second;
    for (const plot of this.#plots) plot.moveTo(second);
    this.#onMoment(second);
  }

  #onMoment(second) {
    const near = second === null ? null : this.#decisionNear(second);
    const line = byId('moment');
    line.textContent = second === null ? '' : `${clock(second)}${near ? ` · ${actionText(near)}: ${near.why}` : ''}`;
  }

  #decisionNear(second) {
    const width = RANGES[this.#range].span * NEAR;
    const distance = ({ at }) => Math.abs(Date.parse(at) / 1000 - second);
    const near = this.#live.decisions.filter((one) => distance(one) <= width).sort((a, b) => distance(a) - distance(b));
    return near[0] ?? null;
  }

  #showConnection(connected) {
    const { status, denied } = this.#live;
    byId('watch').dataset.connected = connected;
    const pill = byId('live');
    const said = denied ? 'Not allowed' : !connected ? 'Connecting again …' : status && !status.current ? 'Not up to date' : 'Live';
    if (pill.textContent !== said) pill.textContent = said;
    pill.dataset.state = connected && status?.current ? 'live' : 'away';
    byId('problem').hidden = connected && !status?.problem;
    const problem = denied ? `This view needs the role read. ${denied}` : connected ? status?.problem ?? '' : 'The server is not answering. What is shown is what was known last.';
    if (byId('problem').textContent !== problem) byId('problem').textContent = problem;
    if (connected) this.#soon();
  }

  #showTiles() {
    const { status } = this.#live;
    if (!status) return;
    this.#showConnection(this.#live.connected);
    const or = (value, format = number) => (value === null || value === undefined ? '–' : format(value));
    const { queue, machines, node, cost } = status;
    const working = machines ? machines.ready + machines.busy : null;
    const tile = (id, value, hint) => { byId(id).textContent = value; byId(`${id}-hint`).textContent = hint; };
    tile('tile-queue', or(queue?.visible), queue ? `waiting, and ${number(queue.in_flight)} in flight` : 'waiting');
    tile('tile-machines', or(working), machines ? [`working, of ${or(machines.wanted)} wanted`, machines.booting && `${machines.booting} booting`,
      machines.draining && `${machines.draining} draining`].filter(Boolean).join(', ') : 'working');
    tile('tile-rate', or(node.answered_per_s), 'answered a second');
    const p50 = this.#latest('wait_p50_s'), p95 = this.#latest('wait_p95_s');
    tile('tile-wait', or(p50, seconds), p95 === null ? 'to an answer, lately' : `to an answer, 95 % within ${seconds(p95)}`);
    const free = cost && !cost.dollars_per_hour;
    tile('tile-cost', !cost ? '–' : free ? seconds(cost.machine_seconds) : dollars(cost.dollars),
         !cost ? 'so far' : free ? 'machine time so far' : `so far, ${seconds(cost.machine_seconds)} of machines`);
    byId('why').textContent = status.why ? `${status.policy}: ${status.why}` : '';
    byId('as-of').textContent = status.as_of ? `As of ${clock(Date.parse(status.as_of) / 1000)}` : '';
  }

  #latest(name) {
    const now = this.#live.now;
    return this.#live.seconds.read(name, now - 60, now).findLast((one) => one !== null) ?? null;
  }

  #showMachines() {
    const { machines } = this.#live;
    const known = machines?.machines;
    const body = byId('fleet').tBodies[0];
    byId('fleet').hidden = !known?.length;
    byId('no-machines').hidden = Boolean(known?.length);
    byId('no-machines').textContent = known ? 'None at the moment: the first image starts one.' : 'Not known at the moment.';
    if (!known) return;
    const rows = known.map((one) => {
      const row = make('tr');
      row.dataset.state = one.state;
      const state = make('td');
      state.append(make('span', `state ${one.state}`, one.state));
      const age = this.#live.now - Date.parse(one.launched_at) / 1000;
      row.append(make('th', '', one.app_tier_id || one.id), make('td', 'id', one.id), make('td', '', one.type ?? '–'), state,
                 make('td', 'number', seconds(Math.max(0, age))), make('td', 'number', one.images === null ? '–' : number(one.images)),
                 make('td', 'number', one.busy_share === null ? '–' : `${Math.round(100 * one.busy_share)} %`));
      row.firstChild.scope = 'row';
      return row;
    });
    body.replaceChildren(...rows);
  }

  #showDecisions() {
    const list = byId('decisions');
    const shown = this.#live.decisions.slice(0, DECISIONS_SHOWN);
    byId('no-decisions').hidden = shown.length > 0;
    if (list.dataset.newest === shown[0]?.at && list.childElementCount === shown.length) return;
    list.dataset.newest = shown[0]?.at ?? '';
    list.replaceChildren(...shown.map((one) => {
      const item = make('li', one.launch || one.take_back ? 'more' : one.terminate || one.ask_to_stop ? 'less' : '');
      const time = make('time', '', clock(Date.parse(one.at) / 1000));
      time.dateTime = one.at;
      item.append(time, make('b', '', actionText(one)), make('span', '', one.error ? `${one.why} (${one.error})` : one.why));
      return item;
    }));
  }
}
