// The page: takes photos in, shows what becomes of them, and what the connection does.
import * as forms from './export.js';
import { keepPicturesOf, setCleared } from './kept.js';
import { droppedFiles, photosOf } from './files.js';
import * as filter from './filter.js';
import { getStatus } from './live.js';
import { completeAll, pictureOf, restore } from './restore.js';
import { Row } from './row.js';
import { offerSamples, showSamples } from './samples.js';
import { Sender } from './sender.js';

const PHOTOS_MAX = 1000;      // rows on the page
const REDRAW_MS = 40;         // changes are drawn together
const ANNOUNCE_MS = 5000;     // the screen reader hears of progress this often
const COPIED_MS = 1500;
const ARRANGE_MS = 300;       // the list is filtered and sorted anew so often at most while results come
const EXPLAIN_MS = 2000;      // the words on what is waited for are so old at most
const RESTORE_WAIT_MS = 3000; // new photos wait so long at most until the earlier ones are listed

const byId = (id) => document.getElementById(id);
const drop = byId('drop'), input = byId('files'), list = byId('photos');

let rows = new Map(); // photo → row, in the order chosen
const changed = new Set();
const counts = {};
let waitingFor = '', explaining = false;
let arranging = null, redraw = null, announced = '', announceTimer = null, countdown = null;

const sender = new Sender(onPhoto, showConnection);

function onPhoto(photo) {
  if (photo.counted) counts[photo.counted] -= 1;
  photo.counted = photo.state;
  counts[photo.state] = (counts[photo.state] ?? 0) + 1;
  changed.add(photo);
  redraw ??= setTimeout(() => {
    redraw = null;
    for (const one of changed) rows.get(one)?.update(waitingFor);
    changed.clear();
    if (filter.isFiltering() || filter.isSorting()) arranging ??= setTimeout(arrange, ARRANGE_MS);
    summarize();
    if (count('waiting')) explain();
  }, REDRAW_MS);
}

// "Starting a worker, about 40 s": what photos in the queue wait for, as the controller sees it.
function wordsOf({ machines, ready_in_s: readyIn, boot_s: boot }) {
  if (!machines || machines.ready + machines.busy > 0) return '';
  const left = readyIn ?? boot;
  const time = left === null ? '' : left < 1 ? ', any moment now' : `, about ${Math.ceil(left)} s`;
  return `Starting a worker${time}`;
}

async function explain() {
  if (explaining) return;
  explaining = true;
  while (count('waiting')) {
    try {
      waitingFor = wordsOf(await getStatus());
    } catch {
      waitingFor = ''; // not known, or not for this caller
    }
    for (const [photo, row] of rows) if (photo.state === 'waiting') row.update(waitingFor);
    await new Promise((resolve) => setTimeout(resolve, EXPLAIN_MS));
  }
  explaining = false;
}

const shownPhotos = () => filter.sorted([...rows.keys()].filter(filter.isShown));

// Hides and orders the rows as the filter says. A row that moves keeps the focus.
function arrange() {
  clearTimeout(arranging);
  arranging = null;
  const focused = document.activeElement;
  for (const [photo, row] of rows) row.element.hidden = !filter.isShown(photo);
  const wanted = filter.sorted([...rows.keys()]).map((photo) => rows.get(photo).element);
  if (wanted.some((element, i) => list.children[i] !== element)) list.append(...wanted);
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  summarize();
}

// Saving saves what is shown: its buttons say so.
function showFilter() {
  const number = filter.isFiltering() ? shownPhotos().length : rows.size;
  const shown = number < rows.size ? ` of ${number} shown` : '';
  byId('filter').hidden = rows.size < 2;
  byId('no-match').hidden = number > 0 || rows.size === 0;
  for (const [id, form] of [['csv', 'CSV'], ['json', 'JSON']]) {
    byId(id).textContent = `Save ${form}${shown}`;
    byId(id).disabled = number === 0;
  }
  byId('clear').textContent = shown ? 'Clear all' : 'Clear';
}

function count(...states) {
  return states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}

function summaryText() {
  const parts = [`${count('done')} of ${rows.size} recognised`];
  if (count('waiting')) parts.push(`${count('waiting')} waiting for their turn`);
  if (count('queued', 'sending')) parts.push(`${count('queued', 'sending')} to send`);
  if (count('failed')) parts.push(`${count('failed')} failed`);
  if (count('cancelled')) parts.push(`${count('cancelled')} cancelled`);
  return rows.size ? `${parts.join(', ')}.` : 'None yet.';
}

function summarize() {
  byId('summary').textContent = summaryText();
  const progress = byId('progress');
  progress.max = Math.max(rows.size, 1);
  progress.value = count('done', 'failed', 'cancelled');
  progress.hidden = count('queued', 'sending', 'waiting') === 0;
  showButton('cancel', count('queued') > 0);
  showButton('retry', retryable().length > 0);
  for (const id of ['csv', 'json', 'clear']) showButton(id, rows.size > 0);
  showFilter();
  showSamples(rows.size === 0);
  announce(summaryText(), count('queued', 'sending', 'waiting') ? ANNOUNCE_MS : 0);
  showConnection();
}

function retryable() {
  return count('failed') ? [...rows.keys()].filter((photo) => photo.state === 'failed' && photo.error.again && !photo.restored) : [];
}

function showButton(id, visible) {
  const button = byId(id);
  if (!visible && document.activeElement === button) input.focus();
  button.hidden = !visible;
}

// Words for the screen reader: the newest, not each on the way.
function announce(text, afterMs = 0) {
  if (!afterMs) {
    clearTimeout(announceTimer);
    announceTimer = null;
  }
  if (announceTimer || text === announced) return;
  announceTimer = setTimeout(() => {
    announceTimer = null;
    announced = afterMs ? summaryText() : text;
    byId('announcement').textContent = announced;
  }, afterMs);
}

// "The server is not answering; trying again in 4 s." The seconds are not spoken, only that it waits.
function showConnection() {
  clearTimeout(countdown);
  const interruption = count('queued', 'sending', 'waiting') ? sender.interruption : null;
  byId('connection').hidden = !interruption;
  if (!interruption) return;
  const reason = byId('reason');
  if (reason.textContent !== interruption.reason) reason.textContent = interruption.reason;
  const seconds = Math.ceil((interruption.until - performance.now()) / 1000);
  byId('countdown').textContent = seconds > 0 ? `; trying again in ${seconds} s.` : '; trying again …';
  countdown = setTimeout(showConnection, 250);
}

async function onAction(photo) {
  if (photo.state === 'waiting') announce(await sender.withdraw(photo) ? 'Cancelled' : 'Not cancelled');
  else if (photo.state === 'queued') sender.cancel(photo);
  else sender.send(photo);
}

async function onCopy(photo, what, button) {
  await completeAll([photo], onPhoto);
  const text = what === 'json' ? JSON.stringify(forms.documentOf(photo), null, 2) : forms.curl(photo, location.origin);
  const before = what === 'json' ? 'Copy JSON' : 'Copy curl';
  let said = 'Copied';
  try {
    await forms.copy(text);
  } catch {
    said = 'Not allowed';
  }
  button.textContent = said;
  announce(said);
  setTimeout(() => { button.textContent = before; }, COPIED_MS);
}

function makeRow(photo, picture) {
  return new Row(photo, byId('row'), { picture, onAction, onCopy });
}

// The photos of earlier visits come before those of this one.
async function bringBack(onBegun) {
  const earlier = new Map();
  for (const photo of await restore(PHOTOS_MAX, onBegun)) {
    if (earlier.size + rows.size === PHOTOS_MAX) break;
    earlier.set(photo, makeRow(photo, () => pictureOf(photo, onPhoto)));
  }
  rows = new Map([...earlier, ...rows]);
  list.prepend(...[...earlier.values()].map(({ element }) => element));
  for (const photo of earlier.keys()) {
    if (photo.state === 'waiting') sender.resume(photo);
    else onPhoto(photo);
  }
}

const listed = new Promise((resolve) => {
  setTimeout(resolve, RESTORE_WAIT_MS);
  bringBack(resolve).finally(resolve);
});

// After the earlier photos are known, so that nothing moves under the pointer.
Promise.all([listed, offerSamples((file) => { addAll([file]); list.lastElementChild.focus(); })]).then(() => showSamples(rows.size === 0));

function addAll(files) {
  const room = PHOTOS_MAX - rows.size;
  const taken = [...files].slice(0, room);
  const fragment = document.createDocumentFragment();
  const photos = taken.map((file) => {
    const photo = { file, state: 'queued' };
    const row = makeRow(photo, async () => file);
    rows.set(photo, row);
    fragment.append(row.element);
    return photo;
  });
  list.append(fragment);
  byId('full').hidden = files.length <= room;
  byId('full').textContent = `${files.length - taken.length} photos were left out: ${PHOTOS_MAX} fit. Clear the list for more.`;
  for (const photo of photos) onPhoto(photo);
  listed.then(() => { for (const photo of photos) if (photo.state === 'queued') sender.send(photo); });
}

function save(name, type, text) {
  forms.download(`imgrec-results.${name}`, type, text);
  announce(`Saved imgrec-results.${name}`);
}

input.addEventListener('change', () => { addAll(input.files); input.value = ''; });
for (const [button, chooser, take] of [['camera', 'camera-file', (files) => [...files]], ['folder', 'folder-files', photosOf]]) {
  byId(button).addEventListener('click', () => byId(chooser).click());
  byId(chooser).addEventListener('change', ({ target }) => { addAll(take(target.files)); target.value = ''; });
}
filter.onFilter(arrange);
byId('show-all').addEventListener('click', () => {
  filter.showAll();
  arrange();
});
byId('form').addEventListener('submit', (event) => event.preventDefault());
byId('now').addEventListener('click', () => sender.retryNow());
byId('cancel').addEventListener('click', () => { for (const photo of rows.keys()) sender.cancel(photo); });
byId('retry').addEventListener('click', () => { for (const photo of retryable()) sender.send(photo); });
byId('csv').addEventListener('click', () => save('csv', 'text/csv', forms.csv(shownPhotos())));
byId('json').addEventListener('click', async () => {
  const photos = shownPhotos();
  await completeAll(photos, onPhoto);
  save('json', 'application/json', forms.json(photos));
});
byId('clear').addEventListener('click', () => {
  const latest = [...rows.keys()].map(({ job }) => job ?? '').sort().at(-1);
  if (latest) setCleared(latest);
  keepPicturesOf([]);
  for (const [photo, row] of rows) {
    sender.remove(photo);
    row.remove();
  }
  rows.clear();
  filter.reset();
  byId('full').hidden = true;
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
  if (event.dataTransfer?.files.length) droppedFiles(event.dataTransfer).then(addAll);
});
// Photos that are not sent are in this page alone.
addEventListener('beforeunload', (event) => { if (count('queued', 'sending')) event.preventDefault(); });
document.addEventListener('paste', (event) => {
  if (event.clipboardData?.files.length) addAll(event.clipboardData.files);
});
