// The dead letters of the Watch view: requests that could not be processed, to be sent again by people.

const RELOAD_MS = 30e3;
const TIMEOUT_MS = 15e3;

const byId = (id) => document.getElementById(id);

async function call(method, path) {
  const response = await fetch(path, { method, headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await response.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // The status says enough.
  }
  return { response, body };
}

function make(tag, className, text = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

export class DeadLetters {
  #timer = null;

  // Hidden where the service has none, or the caller may not see them.
  async show(visible) {
    clearTimeout(this.#timer);
    if (!visible) return;
    this.#timer = setTimeout(() => this.show(true), RELOAD_MS);
    try {
      const { response, body } = await call('GET', '/v1/dead-letters');
      byId('dead').hidden = !Array.isArray(body?.dead_letters);
      if (response.ok && !byId('dead').hidden) this.#draw(body);
    } catch {
      // The page says that the server does not answer; what was shown stays.
    }
  }

  #draw({ dead_letters: letters, complete }) {
    byId('no-dead').hidden = letters.length > 0;
    byId('dead-more').hidden = complete !== false;
    const focused = document.activeElement?.closest?.('#dead-list li')?.dataset.id;
    byId('dead-list').replaceChildren(...letters.map((letter) => this.#item(letter)));
    if (focused) byId('dead-list').querySelector(`[data-id="${CSS.escape(focused)}"] button`)?.focus();
  }

  #item(letter) {
    const item = make('li');
    item.dataset.id = letter.id;
    const name = letter.name || letter.job || letter.id;
    const words = make('div');
    const why = typeof letter.error === 'string' ? letter.error : letter.error?.detail ?? letter.error?.title ?? 'no reason is known';
    words.append(make('b', '', name), make('span', '', why),
                 make('span', '', `received ${letter.receive_count} times${letter.sent_at ? `, sent ${new Date(letter.sent_at).toLocaleString('en-GB')}` : ''}`));
    const buttons = make('p', 'buttons');
    for (const [label, method, path] of [['Send again', 'POST', '/redrive'], ['Drop', 'DELETE', '']]) {
      const button = make('button', '', label);
      button.type = 'button';
      button.setAttribute('aria-label', `${label}: ${name}`);
      button.addEventListener('click', () => this.#act(button, method, `/v1/dead-letters/${encodeURIComponent(letter.id)}${path}`, name));
      buttons.append(button);
    }
    item.append(words, buttons);
    return item;
  }

  async #act(button, method, path, name) {
    button.disabled = true;
    const told = byId('dead-told');
    try {
      const { response, body } = await call(method, path);
      told.textContent = response.ok ? `${name}: ${method === 'POST' ? 'sent again' : 'dropped'}.`
        : `${name}: ${body?.detail ?? `the server answered ${response.status}`}`;
    } catch {
      told.textContent = `${name}: the server is not answering.`;
    }
    button.disabled = false;
    this.show(true);
  }
}
