"""Debian's Chromium, driven by Playwright, for the tests of the page. IMGREC_TEST_BROWSER_VENV names the virtual environment
with the packages of tests/browser/requirements.txt (./dev test sets it up)."""
import contextlib
import os
import pathlib
import site
import sys

import pytest

import imgrec

CHROMIUM = pathlib.Path("/usr/bin/chromium")
VENV = pathlib.Path(os.environ.get("IMGREC_TEST_BROWSER_VENV", imgrec.ROOT / "build/venv/browser"))
SCREENSHOTS = imgrec.ROOT / "build/browser"
MODEL = "efficientnet-lite0"

PACKAGES = VENV / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
for needed in (CHROMIUM, PACKAGES / "playwright"):
    if not needed.exists():
        absent = f"not there: {needed} (./dev test installs it)"
        if os.environ.get("IMGREC_TEST_BROWSER_VENV"):
            pytest.fail(absent)
        pytest.skip(absent, allow_module_level=True)
site.addsitedir(str(PACKAGES))

# Makes photos in the page: PNGs of random rectangles, each different. What is in them does not matter.
MAKE_PHOTOS = """
async (names) => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 96;
  const context = canvas.getContext('2d');
  const files = [];
  for (const name of names) {
    for (let i = 0; i < 6; ++i) {
      context.fillStyle = `hsl(${360 * Math.random()} 70% ${20 + 60 * Math.random()}%)`;
      context.fillRect(96 * Math.random(), 96 * Math.random(), 60, 60);
    }
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
    files.push(new File([blob], name, { type: 'image/png' }));
  }
  return files;
}
"""
DROP = f"""
async (names) => {{
  const transfer = new DataTransfer();
  for (const file of await ({MAKE_PHOTOS})(names)) transfer.items.add(file);
  document.getElementById('drop').dispatchEvent(new DragEvent('drop', {{ bubbles: true, cancelable: true, dataTransfer: transfer }}));
}}
"""


def model_flags():
    """The model that ./dev test makes, or that of ../shared."""
    made = pathlib.Path(os.environ.get("IMGREC_TEST_MODELS", imgrec.ROOT / "build/test-models"))
    if (made / MODEL / "model.json").exists():
        return "--model", MODEL, "--model-dir", made
    return "--model", "resnet18-pqf", "--model-dir", imgrec.model_dir("resnet18-pqf")


@contextlib.contextmanager
def chromium():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        try:
            yield browser
        finally:
            browser.close()


class Page:
    """A Playwright page (`page`) on the service's address, and all that it complained of."""

    def __init__(self, browser, service, **context):
        self.origin = "http://{}:{}".format(*service.address)
        self.context = browser.new_context(accept_downloads=True, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.complaints = []  # script errors, policy violations, dialogs, requests to elsewhere
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("console", self._on_console)
        self.page.on("request", self._on_request)
        self.page.goto(self.origin + "/")

    def _on_console(self, message):
        # The browser itself writes these when an answer is an error or does not come.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def _on_request(self, request):
        if not request.url.startswith((self.origin + "/", "blob:")):
            self.complaints.append(f"request to {request.url}")

    def drop(self, names):
        """Drops a generated photo for each name."""
        self.page.evaluate(DROP, list(names))

    def count(self, state=None):
        return self.page.locator(f"#photos > [data-state={state}]" if state else "#photos > li").count()

    def wait_for_states(self, seconds, **wanted):
        """Until there are so many photos in each of these states."""
        imgrec.wait_until(lambda: self._pump() and all(self.count(state) == number for state, number in wanted.items()),
                          seconds, f"{wanted} on the page")

    def _pump(self):
        self.page.wait_for_timeout(50)  # lets Playwright take events in
        return True

    def screenshot(self, name, **options):
        self.page.evaluate("scrollTo(0, 0)")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"), **options)

    def close(self):
        self.context.close()
        assert not self.complaints, self.complaints

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            return self.close()
        with contextlib.suppress(Exception):
            self.screenshot("failed-test", full_page=True)
        self.context.close()
