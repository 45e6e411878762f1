// Small pictures of the photos that are in sight. Of what the browser cannot show the server's picture comes with the labels;
// until then its place has the file's type. Those of photos that the server has are kept for the next visit, also of those that
// were never in sight.
import { putPicture } from './kept.js';

const AT_ONCE = 2;
const FILE_BYTES_MAX = 40e6;
const WIDTH = 240, HEIGHT = 180; // pixels of the canvas: twice its size on the page

const SELDOM_SHOWN = /^(TIFF?|HEIC|HEIF|HIF)$/;

const KEPT = ['image/webp', 0.8]; // type and quality

const wanted = new Map(); // frame → picture() of those not drawn yet
const jobs = new Map();   // frame → job whose picture is to be kept
const waiting = [];       // frames in sight
const later = [];         // frames whose picture is to be kept, for when nothing in sight waits
let running = 0;

// "TIFF" of "a.tiff"; of a name without an ending, what the browser takes it for.
export function typeOf(file) {
  const ending = /\.([a-z0-9]{1,5})$/i.exec(file.name)?.[1] ?? /^image\/([a-z0-9]{1,5})/.exec(file.type)?.[1] ?? 'file';
  return ending.toUpperCase();
}

// Pixels of the longer side of the picture that the server should make, or 0. By the name: the browser knows only after it
// has tried, and the photo is on its way by then.
export function pictureNeeded(file) {
  return SELDOM_SHOWN.test(typeOf(file)) ? WIDTH : 0;
}

// The photo's middle, filling the canvas.
function draw(bitmap) {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const scale = Math.max(WIDTH / bitmap.width, HEIGHT / bitmap.height);
  const width = bitmap.width * scale, height = bitmap.height * scale;
  canvas.getContext('2d').drawImage(bitmap, (WIDTH - width) / 2, (HEIGHT - height) / 2, width, height);
  return canvas;
}

async function make(picture) {
  const bitmap = await createImageBitmap(await picture(), { resizeWidth: WIDTH, resizeQuality: 'medium' });
  const canvas = draw(bitmap);
  bitmap.close();
  return canvas;
}

// The job of the frame is known, or its picture is: kept when both are.
function keep(frame, canvas) {
  const job = jobs.get(frame);
  if (!job) return;
  jobs.delete(frame);
  canvas.toBlob((blob) => { if (blob) putPicture(job, blob); }, ...KEPT);
}

async function show(frame, inSight) {
  const picture = wanted.get(frame);
  if (!picture) return;
  try {
    if (inSight) wanted.delete(frame);
    const canvas = await make(picture);
    if (inSight) frame.replaceChildren(canvas); // a canvas for each of a thousand rows would take 170 MB
    keep(frame, canvas);
  } catch {
    // The placeholder stays.
  }
}

function work() {
  while (running < AT_ONCE && waiting.length + later.length) {
    running += 1;
    const inSight = waiting.length > 0;
    show(inSight ? waiting.shift() : later.shift(), inSight).finally(() => { running -= 1; work(); });
  }
}

const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    waiting.push(target);
  }
  work();
}, { rootMargin: '400px' });

// Draws the photo into the frame when it comes into sight. picture(): resolves with the image file.
export function drawWhenSeen(frame, file, picture) {
  frame.textContent = typeOf(file);
  if (file.size > FILE_BYTES_MAX) return;
  wanted.set(frame, picture);
  sight.observe(frame);
}

// Keeps the picture in the frame for this job.
export function keepFor(frame, job) {
  jobs.set(frame, job);
  const canvas = frame.querySelector('canvas');
  if (canvas) return keep(frame, canvas);
  later.push(frame);
  work();
}

// Draws the server's picture, a JPEG in base64, unless the photo itself is drawn.
export function drawServers(frame, base64) {
  if (frame.querySelector('canvas')) return;
  const picture = new Blob([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], { type: 'image/jpeg' });
  wanted.set(frame, async () => picture);
  sight.unobserve(frame); // it tells again of a frame that is in sight already
  sight.observe(frame);
  if (jobs.has(frame)) later.push(frame);
  work();
}

export function forget(frame) {
  sight.unobserve(frame);
  wanted.delete(frame);
  jobs.delete(frame);
}
