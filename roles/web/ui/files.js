// The photos of a folder: what else is in it stays out.

const IMAGE = /\.(jpe?g|jfif|png|webp|bmp|gif|tiff?|heic|heif|hif|avif)$/i;
const ENTRIES_MAX = 10_000; // looked at in one drop

export function photosOf(files) {
  return [...files].filter(({ name, type }) => type.startsWith('image/') || IMAGE.test(name));
}

const fileOf = (entry) => new Promise((resolve) => entry.file(resolve, () => resolve(null)));

// A reader gives its entries in parts; an empty one ends them.
async function entriesOf(folder) {
  const reader = folder.createReader(), all = [];
  while (all.length < ENTRIES_MAX) {
    const part = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!part.length) break;
    all.push(...part);
  }
  return all;
}

// What was dropped: files as they are, and of folders the photos in them and below.
export async function droppedFiles(transfer) {
  const dropped = [...transfer.files]; // both are gone after the event
  const waiting = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!waiting.some((entry) => entry.isDirectory)) return dropped;
  const files = waiting.filter((entry) => entry.isFile), inFolders = [];
  const folders = waiting.filter((entry) => entry.isDirectory);
  while (folders.length && inFolders.length < ENTRIES_MAX) {
    for (const entry of await entriesOf(folders.shift())) (entry.isDirectory ? folders : inFolders).push(entry);
  }
  const read = async (entries) => (await Promise.all(entries.map(fileOf))).filter(Boolean);
  return [...await read(files), ...photosOf(await read(inFolders))];
}
