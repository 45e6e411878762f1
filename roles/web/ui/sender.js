// Sends photos and asks for their results, a few at a time, through outages of the server. A photo that the server accepted is
// asked about by its job id and not sent again. If the answer to an upload was lost, nobody knows whether it was accepted: it is
// sent again, and the first job, if there is one, answers to nobody.
import { Backoff } from './backoff.js';
import { Refusal, Unavailable, UnknownJob, cancelJob, isReachable, lookUp, upload } from './server.js';

// A browser opens six connections to one host: the look-ups, which are held, of two open pages leave room to send.
const UPLOADS_AT_ONCE = 3;
const LOOKUPS_AT_ONCE = 2;
const LOOKUP_MS_MIN = 500;  // where "pending" comes at once, because a server stops or a proxy does not let it wait
const UNANSWERED_MAX = 100; // photos in the server's queue; it refuses nobody who has fewer than web.queue_jobs_min
const SENDS_MAX = 5;        // of one photo whose connection breaks, or whose job is lost, while the server is there

async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

// A photo is {file, state, …}. Its states: queued (not sent), sending, waiting (in the server's queue), done (result), failed
// (error), cancelled, removed.
export class Sender {
  #onPhoto;
  #uploadBackoff;
  #lookUpBackoff;
  #queue = [];    // photos that are not sent, in order
  #accepted = []; // photos to ask about, in turn
  #uploads = 0;
  #lookups = 0;
  #unanswered = 0; // photos of which an upload has begun and no answer is known

  // onPhoto(photo): its state changed. onConnection(): `interruption` changed.
  constructor(onPhoto, onConnection) {
    this.#onPhoto = onPhoto;
    this.#uploadBackoff = new Backoff(isReachable, onConnection);
    this.#lookUpBackoff = new Backoff(isReachable, onConnection);
  }

  // What holds requests back: {reason, until} of the pause that ends first, or null.
  get interruption() {
    const pauses = [this.#uploadBackoff.pause, this.#lookUpBackoff.pause].filter(Boolean);
    return pauses.sort((a, b) => a.until - b.until)[0] ?? null;
  }

  // Ends the interruption: tries now.
  retryNow() {
    this.#uploadBackoff.retryNow();
    this.#lookUpBackoff.retryNow();
  }

  // Takes a new photo, or one that failed or was cancelled once more.
  send(photo) {
    Object.assign(photo, { sends: 0, location: null, job: null, running: false, place: undefined, result: null, error: null, abort: new AbortController() });
    photo.startedAt = performance.now();
    this.#set(photo, 'queued');
    this.#queue.push(photo);
    this.#work();
  }

  // Asks about a photo that an earlier visit sent. Its file is not here: what is lost cannot be sent again.
  resume(photo) {
    Object.assign(photo, { sends: SENDS_MAX, abort: new AbortController(), startedAt: performance.now() });
    this.#unanswered += 1;
    this.#accepted.push(photo);
    this.#set(photo, 'waiting');
    this.#work();
  }

  // Resolves with whether a photo in the server's queue is cancelled; one with a result is not.
  async withdraw(photo) {
    if (photo.state !== 'waiting') return false;
    const cancelled = await cancelJob(photo.location).catch(() => false);
    if (cancelled && photo.state === 'waiting') this.#set(photo, 'cancelled');
    return photo.state === 'cancelled';
  }

  // Only what is not sent yet.
  cancel(photo) {
    if (photo.state !== 'queued') return;
    this.#queue = this.#queue.filter((other) => other !== photo);
    this.#set(photo, 'cancelled');
  }

  // Forgets the photo, wherever it is.
  remove(photo) {
    this.#queue = this.#queue.filter((other) => other !== photo);
    this.#set(photo, 'removed');
    photo.abort?.abort();
  }

  #set(photo, state) {
    photo.state = state;
    this.#onPhoto(photo);
  }

  #answered(backoff) {
    backoff.succeeded();
    this.#uploadBackoff.reached();
    this.#lookUpBackoff.reached();
  }

  #work() {
    while (this.#uploads < UPLOADS_AT_ONCE && this.#unanswered < UNANSWERED_MAX && this.#queue.length) {
      this.#uploads += 1;
      this.#unanswered += 1;
      this.#upload(this.#queue.shift()).then((accepted) => {
        this.#uploads -= 1;
        if (accepted) this.#accepted.push(accepted);
        else this.#unanswered -= 1;
        this.#work();
      });
    }
    while (this.#lookups < LOOKUPS_AT_ONCE && this.#accepted.length) {
      this.#lookups += 1;
      this.#lookUp(this.#accepted.shift()).then((pending) => {
        this.#lookups -= 1;
        if (pending) this.#accepted.push(pending);
        else this.#unanswered -= 1;
        this.#work();
      });
    }
  }

  // Resolves with the photo when it is in the server's queue; with nothing when there is no more to do.
  async #upload(photo) {
    for (;;) {
      await this.#uploadBackoff.wait();
      if (photo.state !== 'queued') return null;
      this.#set(photo, 'sending');
      try {
        photo.sends += 1;
        const answer = await upload(photo.file, photo.abort.signal);
        this.#answered(this.#uploadBackoff);
        if (photo.state !== 'sending') return null;
        if (answer.result) return this.#finish(photo, answer.result);
        photo.location = answer.location;
        photo.job = answer.location.split('/').pop();
        this.#set(photo, 'waiting');
        return photo;
      } catch (error) {
        if (photo.state !== 'sending') return null;
        if (!(error instanceof Unavailable)) return this.#fail(photo, error);
        const hopeless = error.broken ? await this.#hopeless(photo) : null;
        if (hopeless) return this.#fail(photo, hopeless);
        if (!error.broken) photo.sends -= 1; // the server said it: the photo is not the cause
        this.#uploadBackoff.failed(error);
        this.#set(photo, 'queued');
      }
    }
  }

  // Why a photo whose connection broke is not sent again, or null.
  async #hopeless(photo) {
    if (!(await isReadable(photo.file))) {
      return new Refusal('The file cannot be read. It may have changed since it was chosen, or be a folder: choose it again.',
                         { code: 'unreadable', again: true });
    }
    if (photo.sends < SENDS_MAX) return null;
    return new Refusal(`The connection broke each of the ${SENDS_MAX} times that this photo was sent.`, { code: 'connection_broken' });
  }

  // Resolves with the photo while its job is pending; with nothing when there is no more to ask.
  async #lookUp(photo) {
    await this.#lookUpBackoff.wait();
    if (photo.state !== 'waiting') return null;
    const start = performance.now();
    try {
      const { result, state, place } = await lookUp(photo.location, photo.abort.signal);
      this.#answered(this.#lookUpBackoff);
      if (photo.state !== 'waiting') return null;
      if (result) return this.#finish(photo, result);
      Object.assign(photo, { running: state === 'running', place });
      this.#set(photo, 'waiting');
      await new Promise((resolve) => setTimeout(resolve, start + LOOKUP_MS_MIN - performance.now()));
      return photo;
    } catch (error) {
      if (photo.state !== 'waiting') return null;
      if (error instanceof Unavailable) {
        this.#lookUpBackoff.failed(error);
        return photo;
      }
      if (!(error instanceof UnknownJob) || photo.sends >= SENDS_MAX) return this.#fail(photo, error);
      this.#set(photo, 'queued');
      this.#queue.unshift(photo);
      return null;
    }
  }

  #finish(photo, result) {
    photo.result = result;
    photo.seconds = (performance.now() - photo.startedAt) / 1000;
    this.#set(photo, 'done');
    return null;
  }

  #fail(photo, error) {
    let refusal = error;
    if (error instanceof UnknownJob) {
      refusal = new Refusal(photo.restored ? 'The server does not know this photo any more. Choose it again.' : 'The server lost this photo each time.',
                            { code: 'unknown_job' });
    }
    if (!(refusal instanceof Refusal)) refusal = new Refusal(`The page failed: ${error.message}`, { code: 'page_failed' });
    if (refusal.code === 'cancelled') {
      this.#set(photo, 'cancelled');
      return null;
    }
    photo.error = refusal;
    this.#set(photo, 'failed');
    return null;
  }
}
