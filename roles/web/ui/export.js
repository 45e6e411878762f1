// The results in the forms that people take away.
import { classifyPath } from './server.js';

function csvField(text) {
  return /[,"\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// "photo" of "photo.jpg"; ".jpg" stays.
function stem(name) {
  const dot = name.lastIndexOf('.');
  return dot > 0 ? name.slice(0, dot) : name;
}

function answer(photo) {
  if (photo.state === 'done') return photo.result.labels[0]?.label ?? '';
  // In brackets, which no label begins with.
  return `(${photo.state === 'failed' ? photo.error.code : photo.state})`;
}

// One line for each photo, as `imgrec classify --csv` writes it.
export function csv(photos) {
  return ['Image,Results', ...photos.map((photo) => `${csvField(stem(photo.file.name))},${csvField(answer(photo))}`), ''].join('\n');
}

// The result document, as the server gave it, but the small picture; of a photo without one, its name and its error or state.
export function documentOf(photo) {
  if (photo.result) {
    const { thumbnail, ...result } = photo.result;
    return result;
  }
  if (!photo.error) return { name: photo.file.name, status: photo.state };
  const { code, message, again } = photo.error;
  return { name: photo.file.name, error: { code, detail: message, retryable: again } };
}

export function json(photos) {
  return JSON.stringify({ results: photos.map(documentOf) }, null, 2) + '\n';
}

// For bash and zsh. Control characters, which could act in a terminal, are written as escapes.
function shellQuoted(text) {
  if (!/[\x00-\x1f\x7f-\x9f]/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = text.replace(/[\\']/g, '\\$&')
    .replace(/[\x00-\x1f\x7f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replace(/[\x80-\x9f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `$'${escaped}'`;
}

// A command that classifies the same file, from its folder.
export function curl(photo, origin) {
  const { name } = photo.file;
  const file = name === '-' ? './-' : name; // - alone is curl's standard input
  return `curl --data-binary ${shellQuoted(`@${file}`)} ${shellQuoted(origin + classifyPath(name))}`;
}

export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60e3);
}

// The clipboard of the browser is there on https and localhost; elsewhere the older way still works.
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'aside';
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  focused?.focus();
  if (!copied) throw new Error('The browser does not let this page copy.');
}
