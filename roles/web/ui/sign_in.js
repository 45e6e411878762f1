// Asks for a key where the service wants one. The browser keeps it in a cookie that no script can read, until it ends.

const dialog = document.getElementById('sign-in');
const form = document.getElementById('sign-in-form');
const key = document.getElementById('key');
const problem = document.getElementById('sign-in-problem');

let signedIn = null; // resolves when somebody is; null when nobody is asked

async function send() {
  problem.textContent = '';
  let response;
  try {
    response = await fetch('/v1/sign-in', { method: 'POST', headers: { 'X-Api-Key': key.value.trim() } });
  } catch {
    problem.textContent = 'The server is not answering. Try again.';
    return false;
  }
  if (response.ok) return true;
  const body = await response.json().catch(() => null);
  problem.textContent = body?.detail ?? `The server answered ${response.status}.`;
  key.select();
  return false;
}

// Resolves when the service has taken a key. Those who ask at the same time wait for the same one.
export function signIn() {
  signedIn ??= new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (!await send()) return;
      key.value = '';
      dialog.close();
      signedIn = null;
      resolve();
    };
    // Without a key nothing goes on: the Escape key does not end it.
    dialog.oncancel = (event) => event.preventDefault();
    dialog.showModal();
  });
  return signedIn;
}
