// Holds requests back while the server does not answer or has asked for time, and lets them go on by itself.

const DELAYS_MS = [1000, 2000, 4000, 8000, 15000]; // after the first failure in a row, the second, …
const JITTER = 0.2;                                // so that many pages do not come back in the same moment

export class Backoff {
  #isReachable;
  #onChange;
  #failures = 0;
  #pause = null;

  // isReachable: asks the server, cheaply, whether it is there. onChange: called when a pause begins, ends or becomes longer.
  constructor(isReachable, onChange) {
    this.#isReachable = isReachable;
    this.#onChange = onChange;
  }

  // Null while requests may be made; else why they may not, and when (performance.now()) the next attempt comes.
  get pause() {
    return this.#pause && { reason: this.#pause.reason, until: this.#pause.until };
  }

  // Resolves when a request may be made.
  async wait() {
    while (this.#pause) await this.#pause.ended;
  }

  // A request succeeded: the next failure is the first of its row.
  succeeded() {
    this.#failures = 0;
  }

  // Another request was answered: there is no need to wait until the server is there.
  reached() {
    if (this.#pause?.unreachable) this.retryNow();
  }

  // A request failed with an Unavailable. Requests that were under way at the same time fail with it: the first counts.
  failed({ reason, retryAfterMs, unreachable }) {
    if (this.#pause) return;
    const pause = { reason, unreachable, until: 0, retryNow: () => {} };
    pause.ended = new Promise((resolve) => { pause.end = resolve; });
    this.#pause = pause;
    this.#endLater(pause, retryAfterMs);
  }

  // Tries now, whatever the time is.
  retryNow() {
    this.#pause?.retryNow();
  }

  #delay() {
    const ms = DELAYS_MS[Math.min(this.#failures, DELAYS_MS.length - 1)];
    this.#failures += 1;
    return ms;
  }

  // A photo is sent again only when the server is known to be there: large bodies are not wasted on attempts.
  async #endLater(pause, retryAfterMs) {
    for (let delay = retryAfterMs ?? this.#delay(); ; delay = this.#delay()) {
      const ms = delay * (1 + JITTER * Math.random());
      pause.until = performance.now() + ms;
      this.#onChange();
      await new Promise((resolve) => {
        pause.retryNow = resolve;
        setTimeout(resolve, ms);
      });
      pause.until = performance.now();
      this.#onChange();
      if (!pause.unreachable || await this.#isReachable()) break;
    }
    this.#pause = null;
    pause.end();
    this.#onChange();
  }
}
