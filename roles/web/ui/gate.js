// Holds requests back while the server does not answer or has asked for time, and lets them go on by itself.

const DELAYS_MS = [1000, 2000, 4000, 8000, 15000]; // after the first failure in a row, the second, …
const JITTER = 0.2;                                // so that many pages do not come back in the same moment

export class Gate {
  #isReachable;
  #onChange;
  #failures = 0;
  #closed = null;

  // isReachable: asks the server, cheaply, whether it is there. onChange: called when it closes, opens or waits longer.
  constructor(isReachable, onChange) {
    this.#isReachable = isReachable;
    this.#onChange = onChange;
  }

  // Null while open; else why it is closed, and when (performance.now()) the next attempt comes.
  get closed() {
    return this.#closed && { reason: this.#closed.reason, until: this.#closed.until };
  }

  // Resolves when a request may be made.
  async pass() {
    while (this.#closed) await this.#closed.opened;
  }

  // A request succeeded: the next failure is the first of its row.
  succeeded() {
    this.#failures = 0;
  }

  // Another request was answered: there is no need to wait until the server is there.
  reached() {
    if (this.#closed?.unreachable) this.hurry();
  }

  // A request failed with an Unavailable. Requests that were under way at the same time fail with it: the first counts.
  close({ reason, retryAfterMs, unreachable }) {
    if (this.#closed) return;
    const closed = { reason, unreachable, until: 0, hurry: () => {} };
    closed.opened = new Promise((resolve) => { closed.open = resolve; });
    this.#closed = closed;
    this.#openLater(closed, retryAfterMs);
  }

  // Tries now, whatever the time is.
  hurry() {
    this.#closed?.hurry();
  }

  #delay() {
    const ms = DELAYS_MS[Math.min(this.#failures, DELAYS_MS.length - 1)];
    this.#failures += 1;
    return ms;
  }

  // A photo is sent again only when the server is known to be there: large bodies are not wasted on attempts.
  async #openLater(closed, retryAfterMs) {
    for (let delay = retryAfterMs ?? this.#delay(); ; delay = this.#delay()) {
      const ms = delay * (1 + JITTER * Math.random());
      closed.until = performance.now() + ms;
      this.#onChange();
      await new Promise((resolve) => {
        closed.hurry = resolve;
        setTimeout(resolve, ms);
      });
      closed.until = performance.now();
      this.#onChange();
      if (!closed.unreachable || await this.#isReachable()) break;
    }
    this.#closed = null;
    closed.open();
    this.#onChange();
  }
}
