// One photo of the list. File names and labels reach the page only as text.
import { drawServers, drawWhenSeen, forget, keepFor } from './thumbnail.js';

const LABELS = 5;

const STATES = {
  queued: 'Waiting to be sent',
  sending: 'Sending',
  waiting: 'Sent, waiting for its turn',
  cancelled: 'Cancelled',
};
const ACTIONS = { queued: 'Cancel', waiting: 'Cancel', failed: 'Try again', cancelled: 'Send after all' };

// Stages of the bar and what they are made of in the result document's timings_ms.
const STAGES = [
  ['waited', ['queue']],
  ['fetched', ['fetch']],
  ['decoded', ['decode', 'preprocess']],
  ['inferred', ['infer']],
];

function element(tag, className, text = '') {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export function duration(ms) {
  if (ms < 0.05) return '<0.1 ms';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60e3 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60e3)} min ${Math.round(ms % 60e3 / 1000)} s`;
}

function percent(score) {
  return `${(100 * score).toFixed(1)} %`;
}

function labelItem({ label, score }) {
  const item = element('li', '');
  const bar = element('span', 'score-bar');
  bar.style.width = `${100 * score}%`; // set by the script: the policy forbids style in HTML alone
  item.append(bar, element('span', 'label', label), element('span', 'score', percent(score)));
  return item;
}

export class Row {
  #photo;
  #parts = {};
  #shown = null; // the result or error that is shown
  #kept = false;

  // picture(): resolves with what the small picture is made of. onAction(photo): its button was pressed. onCopy(photo, what,
  // button): "json" or "curl".
  constructor(photo, template, { picture, onAction, onCopy }) {
    this.#photo = photo;
    this.element = template.content.firstElementChild.cloneNode(true);
    for (const name of ['frame', 'name', 'state', 'stages', 'meta', 'labels', 'action', 'json', 'curl']) {
      this.#parts[name] = this.element.querySelector(`.${name}`);
    }
    const { name, frame, action, json, curl } = this.#parts;
    name.textContent = photo.file.name || '(no name)';
    name.title = photo.file.name;
    drawWhenSeen(frame, photo.file, picture);
    action.addEventListener('click', () => onAction(photo));
    json.addEventListener('click', () => onCopy(photo, 'json', json));
    curl.addEventListener('click', () => onCopy(photo, 'curl', curl));
    for (const [button, text] of [[json, 'Copy JSON'], [curl, 'Copy curl']]) {
      button.setAttribute('aria-label', `${text}: ${name.textContent}`);
    }
    this.update();
  }

  // waiting: what the photos that were sent wait for.
  update(waiting = '') {
    const { state, result, error, running, place, restored, job } = this.#photo;
    const parts = this.#parts;
    if (state === 'waiting') {
      const words = running ? 'A worker has it' : [place > 1 && `Number ${place} in the queue`, waiting].filter(Boolean).join(' · ') || STATES.waiting;
      if (parts.state.textContent !== words) parts.state.textContent = words;
    }
    if (job && !restored && !this.#kept) {
      this.#kept = true;
      keepFor(parts.frame, job);
    }
    if (this.element.dataset.state === state && this.#shown === (result ?? error)) return;
    this.element.dataset.state = state;
    this.#shown = result ?? error;
    if (result?.thumbnail) drawServers(parts.frame, result.thumbnail);
    if (state !== 'waiting') parts.state.textContent = result?.labels[0]?.label ?? error?.message ?? STATES[state];
    // Of an earlier visit's photo there is no file to send.
    const possible = restored ? state === 'waiting' : state !== 'failed' || error.again;
    const action = possible ? ACTIONS[state] : undefined;
    // The focus must not fall back to the start of the page when the button goes.
    if (!action && document.activeElement === parts.action) this.element.focus();
    parts.action.hidden = !action;
    parts.action.textContent = action ?? '';
    if (action) parts.action.setAttribute('aria-label', `${action}: ${parts.name.textContent}`);
    parts.json.hidden = parts.curl.hidden = state !== 'done';
    parts.labels.replaceChildren(...(result?.labels ?? []).slice(0, LABELS).map(labelItem));
    this.#showTimes();
  }

  #showTimes() {
    const { result, seconds } = this.#photo;
    const { stages, meta } = this.#parts;
    stages.replaceChildren();
    meta.replaceChildren();
    if (!result?.timings_ms) return; // not fetched yet
    const timings = result.timings_ms;
    for (const [word, names] of STAGES) {
      const ms = names.reduce((sum, name) => sum + (timings[name] ?? 0), 0);
      const part = element('span', word);
      part.style.flexGrow = ms;
      stages.append(part);
      meta.append(element('span', `time ${word}`, `${word} ${duration(ms)}`));
    }
    meta.append(element('span', 'time', `${seconds === undefined ? '' : `${duration(1000 * seconds)} in all, `}by ${result.model.name}`));
  }

  remove() {
    forget(this.#parts.frame);
    this.element.remove();
  }
}
