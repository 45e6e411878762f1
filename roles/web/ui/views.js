// Which view is shown: Recognise, or Watch at #watch.
import { Watch } from './watch.js';

const watch = new Watch();
const links = [...document.querySelectorAll('#views a')];

function show() {
  const watching = location.hash === '#watch';
  document.getElementById('recognise').hidden = watching;
  watch.show(watching);
  for (const link of links) {
    if ((link.hash === '#watch') === watching) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = watching ? 'imgrec – the service, live' : 'imgrec – what is in these photos?';
}

addEventListener('hashchange', () => { show(); scrollTo(0, 0); });
show();
