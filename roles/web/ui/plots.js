// The plots of the Watch view: one time axis, one cursor, decisions as marks. uPlot draws them; each has a table, too.

const SYNC = 'watch';
const HEIGHT = 150;
const TABLE_ROWS = 60;
const TABLE_MS = 2000;     // between two updates of a table
const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

const inks = new Map(); // of the present theme

// A colour of the style sheet as canvas understands it.
function ink(name) {
  if (inks.has(name)) return inks.get(name);
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  inks.set(name, getComputedStyle(probe).color);
  probe.remove();
  return inks.get(name);
}

function translucent(color, share) {
  return color.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*$/, `rgba($1,$2,$3,${share})`);
}

export const number = (value) => (value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toPrecision(2));
export function seconds(value) {
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  if (value < 172800) return `${Math.floor(value / 3600)} h ${Math.round(value % 3600 / 60)} min`;
  return `${Math.floor(value / 86400)} days`;
}
export function dollars(value) {
  return `$${value >= 1 ? value.toFixed(2) : value.toFixed(4)}`;
}
export const clock = (second) => new Date(second * 1000).toLocaleTimeString('en-GB');

// What is drawn. stack: from the bottom up. Each line: [column, words, colour, {dash, step}].
export const PLOTS = [
  { id: 'queue', title: 'Queue', unit: 'images of all nodes', format: number, step: true,
    lines: [['visible', 'waiting', 'plot-a'], ['in_flight', 'in flight', 'plot-b']] },
  { id: 'machines', title: 'Machines', unit: 'by what they do', format: number, step: true, stack: true,
    lines: [['busy', 'busy', 'plot-a'], ['ready', 'ready', 'plot-b'], ['booting', 'booting', 'plot-c'], ['draining', 'draining', 'plot-d']] },
  { id: 'throughput', title: 'Images per second', unit: 'answered by this node', format: number,
    lines: [['answered_per_s', 'answered', 'plot-a']] },
  { id: 'waits', title: 'Waiting time', unit: 'to an answer of this node', format: seconds,
    lines: [['wait_p50_s', 'half within', 'plot-b'], ['wait_p95_s', '95 % within', 'plot-c']] },
  { id: 'cost', title: 'Cost', unit: 'since the axis begins', format: dollars,
    lines: [['dollars', 'dollars', 'plot-a']] },
];

function stacked(columns) {
  const sums = columns[0].map(() => 0);
  return columns.map((column) => column.map((value, i) => {
    if (value === null) return null;
    sums[i] += value;
    return sums[i];
  }));
}

function make(tag, className, text = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

export class Plot {
  #spec;
  #plot = null;
  #marks = [];
  #raw = [[]];
  #tableAt = 0;
  #parts = {};

  // onMoment(second or null): the pointer is there. onStep(steps): a key moves the cursor, by 60ths of the axis.
  constructor(spec, { onMoment, onStep }) {
    this.#spec = spec;
    this.onMoment = onMoment;
    this.onStep = onStep;
    this.element = make('figure', 'plot');
    const caption = make('figcaption', '');
    this.#parts.title = make('h3', '', spec.title);
    this.#parts.unit = make('span', 'unit', spec.unit);
    this.#parts.legend = make('ul', 'legend');
    for (const [, words, colour] of spec.lines) {
      const item = make('li', colour);
      item.append(make('span', 'swatch'), words, make('b', 'value', '–'));
      this.#parts.legend.append(item);
    }
    caption.append(this.#parts.title, this.#parts.unit, this.#parts.legend);
    this.#parts.canvas = make('div', 'canvas');
    this.#parts.canvas.tabIndex = 0;
    this.#parts.canvas.setAttribute('role', 'img');
    this.#parts.canvas.addEventListener('keydown', (event) => this.#onKey(event));
    this.#parts.canvas.addEventListener('pointermove', (event) => this.#onPointer(event));
    this.#parts.canvas.addEventListener('pointerleave', () => this.onMoment(null));
    this.#parts.details = make('details', '');
    this.#parts.details.append(make('summary', '', 'Table'), make('div', 'scroll'));
    this.#parts.details.firstChild.setAttribute('aria-label', `${spec.title} as a table`);
    this.#parts.details.addEventListener('toggle', () => this.#drawTable(true));
    this.element.append(caption, this.#parts.canvas, this.#parts.details);
  }

  // columns: [seconds, values of each line …]; marks: seconds at which something was decided.
  show(columns, marks) {
    this.#raw = columns;
    this.#marks = marks;
    const data = this.#spec.stack ? [columns[0], ...stacked(columns.slice(1)).reverse()] : columns;
    if (this.#plot) this.#plot.setData(data);
    else this.#plot = new window.uPlot(this.#options(), data, this.#parts.canvas);
    this.#legend(this.#plot.cursor.idx ?? null);
    this.#drawTable();
  }

  // In the colours and the width of now.
  redraw() {
    inks.clear();
    this.#plot?.destroy();
    this.#plot = null;
    if (this.#raw[0].length) this.show(this.#raw, this.#marks);
  }

  // Puts the cursor there; null: nowhere.
  moveTo(second) {
    this.#plot?.setCursor(second === null ? { left: -10, top: -10 } : { left: this.#plot.valToPos(second, 'x'), top: 0 });
  }

  resize() {
    const width = this.#parts.canvas.clientWidth;
    if (this.#plot && width && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #options() {
    const { spec, soft, line } = { spec: this.#spec, soft: ink('soft'), line: ink('line') };
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    const lines = spec.lines.map(([, words, colour]) => {
      const color = ink(colour);
      return {
        label: words, stroke: color, width: spec.stack ? 1 : 1.75, points: { show: false },
        fill: spec.stack ? color : spec.lines.length === 1 ? translucent(color, 0.12) : undefined,
        paths: spec.step ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
      };
    });
    return {
      width: this.#parts.canvas.clientWidth || 300, height: HEIGHT, padding: [8, 6, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { show: !spec.stack, size: 6 }, y: false },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(high ?? 0, spec.id === 'cost' ? 1e-4 : 1) * 1.08] } },
      axes: [
        { ...axis, size: 26, space: 64, values: [
          [3600, '{HH}:{mm}', null, null, null, null, null, null, 1], [60, '{HH}:{mm}', null, null, null, null, null, null, 1],
          [1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]] },
        { ...axis, size: 52, values: (_, values) => values.map((value) => (spec.format === number && !Number.isInteger(value) ? '' : spec.format(value))) },
      ],
      series: [{}, ...(spec.stack ? lines.reverse() : lines)],
      hooks: {
        setCursor: [(plot) => this.#legend(plot.cursor.idx ?? null)],
        draw: [(plot) => this.#drawMarks(plot)],
      },
    };
  }

  #onPointer({ clientX }) {
    if (!this.#plot) return;
    const { left, width } = this.#plot.over.getBoundingClientRect();
    const inside = clientX >= left && clientX <= left + width;
    this.onMoment(inside ? this.#raw[0][this.#plot.posToIdx(clientX - left)] : null);
  }

  #drawMarks(plot) {
    const { ctx, bbox } = plot;
    const ratio = window.uPlot.pxRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = ink('mark');
    ctx.lineWidth = ratio;
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    for (const second of this.#marks) {
      if (second < plot.scales.x.min || second > plot.scales.x.max) continue;
      const x = Math.round(plot.valToPos(second, 'x', true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 4 * ratio, bbox.top - 6 * ratio);
      ctx.lineTo(x + 4 * ratio, bbox.top - 6 * ratio);
      ctx.lineTo(x, bbox.top + ratio);
      ctx.fill();
    }
    ctx.restore();
  }

  // The values at the cursor, else the latest.
  #legend(index) {
    const [times, ...columns] = this.#raw;
    const items = this.#parts.legend.children;
    const said = columns.map((column, i) => {
      const value = index === null ? column.findLast((one) => one !== null) : column[index];
      const text = value === null || value === undefined ? '–' : this.#spec.format(value);
      items[i].lastChild.textContent = text;
      return `${this.#spec.lines[i][1]} ${text === '–' ? 'not known' : text}`;
    });
    const words = `${this.#spec.title}: ${said.join(', ')}.`;
    const when = index === null ? '' : ` At ${clock(times[index])}.`;
    this.#parts.canvas.setAttribute('aria-label', `${words}${when} Left and right keys move through time; the table has all values.`);
  }

  #onKey(event) {
    const steps = KEYS[event.key];
    if (!steps) return;
    event.preventDefault();
    this.onStep(steps);
  }

  #drawTable(atOnce = false) {
    const { details, title } = this.#parts;
    if (!details.open || (!atOnce && performance.now() - this.#tableAt < TABLE_MS)) return;
    this.#tableAt = performance.now();
    const [times, ...columns] = this.#raw;
    const table = make('table', '');
    table.append(make('caption', 'aside', `${title.textContent}, ${this.#spec.unit}, newest first`));
    const head = table.createTHead().insertRow();
    for (const words of ['time', ...this.#spec.lines.map(([, text]) => text)]) {
      const cell = make('th', '', words);
      cell.scope = 'col';
      head.append(cell);
    }
    const body = table.createTBody();
    const stride = Math.max(1, Math.floor(times.length / TABLE_ROWS));
    for (let i = times.length - 1; i >= 0; i -= stride) {
      if (columns.every((column) => column[i] === null)) continue;
      const row = body.insertRow();
      row.append(make('td', '', clock(times[i])));
      for (const column of columns) row.append(make('td', '', column[i] === null ? '–' : this.#spec.format(column[i])));
    }
    details.lastChild.replaceChildren(table);
    details.lastChild.tabIndex = 0;
    details.lastChild.setAttribute('role', 'region');
    details.lastChild.setAttribute('aria-label', `Table: ${title.textContent}`);
  }
}
