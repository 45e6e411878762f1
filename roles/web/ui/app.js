// Sends each chosen photo to /v1/classify and shows what comes back. File names and labels reach the page only as text.
'use strict';

const SENDS_AT_ONCE = 6;         // as many connections as a browser opens to one host
const WAIT_SECONDS = 20;         // longest hold of one request; then the job is asked again
const PHOTOS_MAX = 500;          // cards on the page
const BYTES_MAX_FOR_THUMB = 40e6;

const form = document.getElementById('form');
const drop = document.getElementById('drop');
const input = document.getElementById('files');
const list = document.getElementById('photos');
const summary = document.getElementById('summary');
const clear = document.getElementById('clear');
const template = document.getElementById('card');

const waiting = [];   // photos not sent yet, in the order chosen
let sending = 0;
let generation = 0;   // grows with "Clear": what belongs to an older one is forgotten

// again: whether sending the same photo again may help.
class Failure extends Error {
  constructor(message, again = true) {
    super(message);
    this.again = again;
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function show(photo, state, text) {
  photo.state = state;
  photo.card.dataset.state = state;
  photo.card.querySelector('.state').textContent = text;
  photo.card.querySelector('.again').hidden = state !== 'failed' || !photo.again;
  summarize();
}

function summarize() {
  const cards = [...list.children];
  const count = (...states) => cards.filter((card) => states.includes(card.dataset.state)).length;
  const open = count('queued', 'sending', 'waiting');
  const failed = count('failed');
  clear.hidden = cards.length === 0;
  if (cards.length === 0) summary.textContent = 'None yet.';
  else if (open) summary.textContent = `${count('done')} of ${cards.length} recognised …`;
  else summary.textContent = `${count('done')} of ${cards.length} recognised${failed ? `, ${failed} failed` : ''}.`;
}

function showResult(photo, result) {
  const [best] = result.labels;
  show(photo, 'done', best.label);
  const labels = photo.card.querySelector('.labels');
  labels.replaceChildren(...result.labels.slice(0, 5).map((label) => {
    const item = document.createElement('li');
    const bar = document.createElement('span');
    bar.className = 'score-bar';
    bar.style.width = `${100 * label.score}%`;
    const name = document.createElement('span');
    name.className = 'label';
    name.textContent = label.label;
    const score = document.createElement('span');
    score.className = 'score';
    score.textContent = `${(100 * label.score).toFixed(1)} %`;
    item.append(bar, name, score);
    return item;
  }));
  const seconds = ((performance.now() - photo.started) / 1000).toFixed(1);
  const work = result.timings_ms ? `, of which ${result.timings_ms.infer.toFixed(0)} ms in the network` : '';
  photo.card.querySelector('.meta').textContent = `${seconds} s${work} · ${result.model.name}`;
}

async function readBody(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure(`The server answered ${response.status} ${response.statusText}.`);
  }
}

// The result document of one answer, or nothing while the job is pending.
async function resultOf(response) {
  const body = await readBody(response);
  if (response.status === 202) return { pending: body.location };
  const error = body.error || (response.ok ? null : body);
  if (error) {
    const again = body.error ? body.error.retryable : ![413, 415, 422].includes(response.status);
    throw new Failure(error.detail || error.title || `The server answered ${response.status}.`, again);
  }
  return { result: body };
}

async function follow(photo, location) {
  for (let failures = 0; photo.generation === generation;) {
    let response;
    try {
      response = await fetch(location, { headers: { Prefer: `wait=${WAIT_SECONDS}`, Accept: 'application/json' } });
    } catch {
      if (++failures > 8) throw new Failure('The server cannot be reached.');
      show(photo, 'waiting', 'Connection lost; asking again …');
      await pause(Math.min(500 * 2 ** failures, 10000));
      continue;
    }
    failures = 0;
    const { result } = await resultOf(response);
    if (result) return result;
    show(photo, 'waiting', 'Waiting for a worker …');
  }
  return null;
}

async function classify(photo) {
  show(photo, 'sending', 'Uploading …');
  photo.started = performance.now();
  const body = new FormData();
  body.append('image', photo.file, photo.file.name);
  let response;
  try {
    response = await fetch('/v1/classify?top_k=5', {
      method: 'POST',
      body,
      headers: { Prefer: `wait=1`, Accept: 'application/json' },
    });
  } catch {
    throw new Failure('The server cannot be reached, or the file has changed since it was chosen.');
  }
  const { pending, result } = await resultOf(response);
  if (result) return result;
  show(photo, 'waiting', 'Waiting for a worker …');
  return follow(photo, pending);
}

async function work() {
  while (waiting.length && sending < SENDS_AT_ONCE) {
    const photo = waiting.shift();
    sending += 1;
    classify(photo)
      .then((result) => { if (result && photo.generation === generation) showResult(photo, result); })
      .catch((error) => {
        if (photo.generation !== generation) return;
        photo.again = !(error instanceof Failure) || error.again;
        show(photo, 'failed', error instanceof Failure ? error.message : `The page failed: ${error.message}`);
      })
      .finally(() => { sending -= 1; work(); });
  }
}

function enqueue(photo) {
  photo.card.querySelector('.labels').replaceChildren();
  photo.card.querySelector('.meta').textContent = '';
  show(photo, 'queued', 'Waiting to be sent …');
  waiting.push(photo);
}

function add(file) {
  const card = template.content.firstElementChild.cloneNode(true);
  const photo = { file, card, state: 'queued', generation, started: 0 };
  const name = card.querySelector('.name');
  name.textContent = file.name;
  name.title = file.name;
  const image = card.querySelector('img');
  if (file.size <= BYTES_MAX_FOR_THUMB) {
    const url = URL.createObjectURL(file);
    image.addEventListener('load', () => URL.revokeObjectURL(url));
    image.addEventListener('error', () => { image.classList.add('broken'); URL.revokeObjectURL(url); });
    image.src = url;
  } else {
    image.classList.add('broken');
  }
  card.querySelector('.again').addEventListener('click', () => { enqueue(photo); work(); });
  list.append(card);
  enqueue(photo);
}

function addAll(files) {
  const room = PHOTOS_MAX - list.children.length;
  for (const file of [...files].slice(0, room)) add(file);
  work();
  if (files.length > room) summary.textContent = `Only ${PHOTOS_MAX} photos at a time; clear the list for more.`;
}

input.addEventListener('change', () => { addAll(input.files); input.value = ''; });
form.addEventListener('submit', (event) => event.preventDefault());
clear.addEventListener('click', () => {
  generation += 1;
  waiting.length = 0;
  list.replaceChildren();
  summarize();
  input.focus();
});

// The whole page takes drops: missing the box by a finger must not navigate away.
for (const type of ['dragenter', 'dragover']) {
  document.addEventListener(type, (event) => { event.preventDefault(); drop.classList.add('over'); });
}
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) drop.classList.remove('over'); });
document.addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  if (event.dataTransfer && event.dataTransfer.files.length) addAll(event.dataTransfer.files);
});
document.addEventListener('paste', (event) => {
  if (event.clipboardData && event.clipboardData.files.length) addAll(event.clipboardData.files);
});
