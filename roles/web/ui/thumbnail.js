// Small pictures of the photos that are in sight. What the browser cannot show keeps its placeholder, the file's type.

const AT_ONCE = 2;
const FILE_BYTES_MAX = 40e6;
const WIDTH = 240, HEIGHT = 180; // pixels of the canvas: twice its size on the page

const wanted = new Map(); // frame → file
const waiting = [];
let running = 0;

// "TIFF" of "a.tiff"; of a name without an ending, what the browser takes it for.
export function typeOf(file) {
  const ending = /\.([a-z0-9]{1,5})$/i.exec(file.name)?.[1] ?? /^image\/([a-z0-9]{1,5})/.exec(file.type)?.[1] ?? 'file';
  return ending.toUpperCase();
}

// Fills the frame, keeping the middle of the photo.
function draw(bitmap, frame) {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const scale = Math.max(WIDTH / bitmap.width, HEIGHT / bitmap.height);
  const width = bitmap.width * scale, height = bitmap.height * scale;
  canvas.getContext('2d').drawImage(bitmap, (WIDTH - width) / 2, (HEIGHT - height) / 2, width, height);
  frame.replaceChildren(canvas);
}

async function show(frame, file) {
  try {
    const bitmap = await createImageBitmap(file, { resizeWidth: WIDTH, resizeQuality: 'medium' });
    draw(bitmap, frame);
    bitmap.close();
  } catch {
    // The placeholder stays.
  }
}

function work() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    show(...waiting.shift()).finally(() => { running -= 1; work(); });
  }
}

const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    waiting.push([target, wanted.get(target)]);
    wanted.delete(target);
  }
  work();
}, { rootMargin: '400px' });

// Draws the photo into the frame when it comes into sight.
export function drawWhenSeen(frame, file) {
  frame.textContent = typeOf(file);
  if (file.size > FILE_BYTES_MAX) return;
  wanted.set(frame, file);
  sight.observe(frame);
}

export function forget(frame) {
  sight.unobserve(frame);
  wanted.delete(frame);
}
