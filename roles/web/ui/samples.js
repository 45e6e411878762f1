// Sample photos that are part of the page; a service that was built without a network has none.

const section = document.getElementById('samples');

function make(tag, text = '') {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function item({ file, title, by }, onFile) {
  const picture = make('img');
  Object.assign(picture, { src: `/samples/${file}`, alt: '', width: 120, height: 90 });
  const button = make('button');
  button.type = 'button';
  button.append(picture, make('span', title));
  button.addEventListener('click', async () => {
    const response = await fetch(`/samples/${file}`).catch(() => null);
    if (response?.ok) onFile(new File([await response.blob()], file, { type: response.headers.get('Content-Type') ?? '' }));
  });
  const whole = make('li');
  whole.append(button, make('small', `Photo: ${by}`));
  return whole;
}

// Calls onFile(file) when one is chosen.
export async function offerSamples(onFile) {
  try {
    const samples = await (await fetch('/samples/samples.json')).json();
    section.querySelector('ul').replaceChildren(...samples.map((sample) => item(sample, onFile)));
    section.dataset.count = samples.length;
  } catch {
    // None are offered.
  }
}

// They are shown while the list has no photos.
export function showSamples(wanted) {
  section.hidden = !wanted || !Number(section.dataset.count);
}
