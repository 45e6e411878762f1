// Light or dark: the system's choice until the switch is used. Runs before the first paint, so that nothing flashes.
'use strict';

{
  const KEY = 'imgrec-theme';
  const root = document.documentElement;

  // Storage may be refused.
  const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* until the page is left */ } };

  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  if (['light', 'dark'].includes(kept())) root.dataset.theme = kept();

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const show = () => button.setAttribute('aria-checked', String(isDark()));
    button.addEventListener('click', () => {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      keep(root.dataset.theme);
      show();
    });
    system.addEventListener('change', show);
    show();
  });
}
