// What the browser keeps for the next visit: small pictures of the photos by job id, and up to which job the list was cleared.
// Where the browser keeps nothing (a private window, a full disk) the page goes on without.

const PICTURES_MAX = 1000; // as many as rows fit on the page; about 8 kB each

let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('imgrec', 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('pictures');
      request.result.createObjectStore('marks');
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

// Resolves with the result of the request that use(store) makes; with nothing where the browser refuses.
async function ask(name, mode, use) {
  try {
    const database = await open();
    return await new Promise((resolve, reject) => {
      const request = use(database.transaction(name, mode).objectStore(name));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } catch {
    return undefined;
  }
}

export const putPicture = (job, blob) => ask('pictures', 'readwrite', (store) => store.put(blob, job));
export const getPicture = (job) => ask('pictures', 'readonly', (store) => store.get(job));

// Keeps the pictures of these jobs alone, and of them the latest: job ids sort by their time.
export async function keepPicturesOf(jobs) {
  const wanted = new Set([...jobs].sort().slice(-PICTURES_MAX));
  for (const job of await ask('pictures', 'readonly', (store) => store.getAllKeys()) ?? []) {
    if (!wanted.has(job)) await ask('pictures', 'readwrite', (store) => store.delete(job));
  }
}

// The list shows no job up to this one.
export const setCleared = (job) => ask('marks', 'readwrite', (store) => store.put(job, 'cleared'));
export const getCleared = async () => await ask('marks', 'readonly', (store) => store.get('cleared')) ?? '';
