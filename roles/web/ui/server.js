// The requests to the service, and what their answers mean for a photo. roles/web/HTTP.md describes them.
import { signIn } from './sign_in.js';
import { pictureNeeded } from './thumbnail.js';

const LOOKUP_WAIT_SECONDS = 5;      // the longest that one look-up is held
const REACHABLE_TIMEOUT_MS = 5000;
const LISTED_AT_ONCE = 100;         // the most that the server lists in one answer
const LIST_TIMEOUT_MS = 20e3;
const RETRY_AFTER_MAX_MS = 300e3;
const TRANSIENT = [408, 429, 502, 503, 504];

// The server's final word on a photo. code: of the error, for programs. again: whether sending the same photo may help.
export class Refusal extends Error {
  constructor(message, { code = 'refused', again = true } = {}) {
    super(message);
    this.code = code;
    this.again = again;
  }
}

// Nothing is known about the photo; the same request can be made again. unreachable: no answer came from the service.
export class Unavailable extends Error {
  constructor(reason, { retryAfterMs = null, unreachable = false, broken = false } = {}) {
    super(reason);
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
    this.unreachable = unreachable;
    this.broken = broken; // the connection ended: also what a file that cannot be read looks like
  }
}

// The server does not know the job: its state was lost, or is another server's.
export class UnknownJob extends Error {}

function retryAfterMs(response) {
  const value = response.headers.get('Retry-After');
  if (value === null) return null;
  const ms = /^\d+$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS);
}

async function request(url, options) {
  let response, text;
  try {
    response = await fetch(url, { ...options, headers: { Accept: 'application/json', ...options.headers } });
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Unavailable('The server is not answering', { unreachable: true, broken: true });
  }
  if (response.status === 401) {
    await signIn();
    return request(url, options);
  }
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy's page, or nothing: the status says enough.
  }
  return { response, body };
}

function unavailable(response, body) {
  const after = retryAfterMs(response);
  if (response.status === 429 || body?.code === 'overloaded') {
    return new Unavailable('The server is busy', { retryAfterMs: after });
  }
  if (!body?.title) return new Unavailable('The server is not answering', { retryAfterMs: after, unreachable: true });
  return new Unavailable(`The server cannot go on (${body.title})`, { retryAfterMs: after });
}

// The location of a pending job, or its result document. Throws what else the answer means.
function meaning({ response, body }) {
  if (response.status === 202 && body) return { location: body.location, state: body.state, place: body.place_about };
  if (response.ok && body && !body.error) return { result: body };
  if (response.ok && body) {
    const { code, title, detail, retryable } = body.error;
    throw new Refusal(detail || title, { code, again: retryable });
  }
  // "expired" is 504 and final: no worker took the job in its time.
  if (TRANSIENT.includes(response.status) && body?.code !== 'expired') throw unavailable(response, body);
  if (response.status === 404 && body?.code === 'unknown_job') throw new UnknownJob();
  throw new Refusal(body?.detail || `The server answered ${response.status} ${response.statusText}.`,
                    { code: body?.code, again: body?.retryable ?? true });
}

// A lone surrogate, which some systems allow in names, has no UTF-8.
function queryName(name) {
  return encodeURIComponent(name.toWellFormed?.() ?? name.replace(/\p{Surrogate}/gu, '\ufffd'));
}

export function classifyPath(name) {
  return `/v1/classify?top_k=5&name=${queryName(name)}`;
}

// Resolves when the photo is in the queue.
export async function upload(file, signal) {
  const picture = pictureNeeded(file);
  return meaning(await request(classifyPath(file.name) + (picture ? `&thumbnail=${picture}` : ''), {
    method: 'POST',
    body: file,
    signal,
    headers: { Prefer: 'respond-async', 'Content-Type': 'application/octet-stream' },
  }));
}

// Waits some seconds for the result. Past the browser's cache, which would hold the request that cancels a job back until
// the look-up of the same address has ended.
export async function lookUp(location, signal, waitSeconds = LOOKUP_WAIT_SECONDS) {
  return meaning(await request(location, { signal, cache: 'no-store', headers: { Prefer: `wait=${waitSeconds}` } }));
}

// Resolves with whether the job was cancelled; it was not when it has its result.
export async function cancelJob(location) {
  const { response, body } = await request(location, { method: 'DELETE', cache: 'no-store' });
  if (!response.ok && body?.code !== 'too_late') throw new Unavailable(body?.detail ?? `The server answered ${response.status}`);
  return response.ok;
}

// A page of the session's jobs, latest first; null where this caller has none to see. Nobody is asked for a key for it.
export async function listJobs(cursor) {
  const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
  const response = await fetch(`/v1/jobs?limit=${LISTED_AT_ONCE}${from}`, {
    headers: { Accept: 'application/json' },
    signal: AbortSignal.timeout(LIST_TIMEOUT_MS),
  });
  if (TRANSIENT.includes(response.status)) throw unavailable(response, null);
  return response.ok ? response.json() : null;
}

export async function isReachable() {
  try {
    return (await fetch('/healthz', { signal: AbortSignal.timeout(REACHABLE_TIMEOUT_MS) })).ok;
  } catch {
    return false;
  }
}
