// The photos that the session sent before: the page shows them again after a reload, and after the server's restart.
import { getCleared, getPicture, keepPicturesOf } from './kept.js';
import { Refusal, listJobs, lookUp } from './server.js';

const ATTEMPTS = 3;
const ATTEMPT_MS = 2000;
const DETAILS_AT_ONCE = 2;

// What a job of the list says, until its document is fetched. file: its name alone, for the photo itself is not here.
function photoOf({ job, name, state, label, score, error, location, submitted_at: from, completed_at: until }) {
  const photo = { file: { name, size: 0, type: '' }, restored: true, partial: true, job, location, state: 'waiting' };
  if (state === 'cancelled') return Object.assign(photo, { state, partial: false });
  if (state === 'queued' || state === 'running') return Object.assign(photo, { partial: false, running: state === 'running' });
  if (until) photo.seconds = (Date.parse(until) - Date.parse(from)) / 1000;
  if (state === 'done') {
    return Object.assign(photo, { state, result: { job, name, labels: label === undefined ? [] : [{ label, score }] } });
  }
  const { code = 'expired', title = 'No worker answered this photo in its time.' } = error ?? {};
  return Object.assign(photo, { state: 'failed', error: new Refusal(title, { code, again: false }) });
}

async function page(cursor) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listJobs(cursor);
    } catch {
      if (attempt === ATTEMPTS) return null;
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS));
    }
  }
}

// Resolves with photos, oldest first, at most so many. Of jobs that are sent meanwhile none is among them if nothing was sent
// before onBegun() is called.
export async function restore(photosMax, onBegun) {
  const cleared = await getCleared();
  const photos = [];
  let complete = true;
  for (let cursor = ''; cursor !== undefined && photos.length < photosMax;) {
    const listed = await page(cursor);
    onBegun();
    complete = listed !== null;
    const jobs = listed?.jobs ?? [];
    const fresh = jobs.filter(({ job }) => job > cleared);
    photos.push(...fresh.map(photoOf));
    cursor = fresh.length < jobs.length ? undefined : listed?.next;
  }
  photos.splice(photosMax);
  if (complete) keepPicturesOf(photos.map(({ job }) => job));
  return photos.reverse();
}

// Fetches the photo's document where the list alone is known; onPhoto(photo) when it is there.
export async function complete(photo, onPhoto) {
  if (!photo.partial) return;
  photo.partial = false;
  try {
    const { result } = await lookUp(photo.location, photo.abort?.signal, 0);
    if (result) photo.result = result;
  } catch (error) {
    if (error instanceof Refusal && photo.state === 'failed') photo.error = error;
    else photo.partial = true; // what the list says is still true
  }
  onPhoto(photo);
}

export async function completeAll(photos, onPhoto) {
  const partial = photos.filter((photo) => photo.partial);
  await Promise.all(Array.from({ length: DETAILS_AT_ONCE }, async () => {
    while (partial.length) await complete(partial.shift(), onPhoto);
  }));
}

// The small picture of a photo, when its row comes into sight; its document comes with it.
export async function pictureOf(photo, onPhoto) {
  await complete(photo, onPhoto);
  return getPicture(photo.job);
}
