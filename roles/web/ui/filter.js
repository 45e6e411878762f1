// Which photos of the list are shown, and in which order.

const byId = (id) => document.getElementById(id);
const find = byId('find'), show = byId('show'), sort = byId('sort');

const STATES = { done: ['done'], open: ['queued', 'sending', 'waiting'], failed: ['failed', 'cancelled'] };

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
const best = (photo) => photo.result?.labels[0];

// Photos without a label come last.
const ORDERS = {
  name: (a, b) => names.compare(a.file.name, b.file.name),
  label: (a, b) => !best(a) - !best(b) || names.compare(best(a)?.label ?? '', best(b)?.label ?? ''),
  score: (a, b) => (best(b)?.score ?? -1) - (best(a)?.score ?? -1),
};

export function isFiltering() {
  return Boolean(find.value.trim() || show.value);
}

export function isSorting() {
  return sort.value !== '';
}

export function isShown(photo) {
  if (show.value && !STATES[show.value].includes(photo.state)) return false;
  const wanted = find.value.trim().toLowerCase();
  if (!wanted) return true;
  return [photo.file.name, ...(photo.result?.labels ?? []).map(({ label }) => label)].some((text) => text.toLowerCase().includes(wanted));
}

// Equal photos keep the order in which they came.
export function sorted(photos) {
  return isSorting() ? photos.toSorted(ORDERS[sort.value]) : photos;
}

// The order stays; the focus goes to where something else can be looked for.
export function showAll() {
  find.value = show.value = '';
  find.focus();
}

export function reset() {
  find.value = show.value = sort.value = '';
}

export function onFilter(listener) {
  for (const input of [find, show, sort]) input.addEventListener('input', listener);
}
