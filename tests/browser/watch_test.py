"""The Watch view in a browser: a real scale-out and scale-in, told live."""
import gzip
import signal

import pytest

import browser
import imgrec

# depth ends machines as soon as the queue is empty; slo would use the minute that they are billed for.
FLAGS = ("--min-workers", "0", "--max-workers", "2", "--idle-cooldown", "3s", "--policy", "depth")
ENVIRONMENT = {"IMGREC_LOCAL_BOOT_DELAY": "4s", "IMGREC_CONTROLLER_PRICE": "0.36"}


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


def expect_accessible(page, what):
    from axe_playwright_python.sync_playwright import Axe
    results = Axe().run(page)
    assert not results.violations_count, f"{what}: {results.generate_report()}"


def wait_text(page, selector, *wanted, seconds=60):
    """Until the element's text has one of these."""
    found = []
    def there():
        page.wait_for_timeout(100)  # lets Playwright take events in
        found[:] = [page.locator(selector).inner_text()]
        return any(word in found[0] for word in wanted)
    try:
        imgrec.wait_until(there, seconds, "the text")
    except TimeoutError:
        raise AssertionError(f"{selector} says {found[0]!r:.300}, and not {wanted}") from None


def test_a_scale_out_and_a_scale_in_are_told_live(chromium):
    with imgrec.Service("local", *browser.model_flags(), *FLAGS, env=ENVIRONMENT) as service, \
            browser.Page(chromium, service) as page, browser.Page(chromium, service) as watcher:
        watch = watcher.page
        watch.goto(watcher.origin + "/#watch")
        watch.locator("#live[data-state=live]").wait_for()
        wait_text(watch, "#tile-machines", "0")
        assert watch.locator("#no-machines").is_visible()

        # A photo that waits for a machine says so, and how long about.
        page.drop(f"photo-{i}.png" for i in range(30))
        wait_text(page.page, "#photos > li:first-child .state", "Starting a worker")
        wait_text(watch, "#decisions", "start ")
        wait_text(watch, "#fleet", "booting")
        page.wait_for_states(60, done=30)
        wait_text(watch, "#fleet", "busy", "ready")
        wait_text(watch, "#tile-wait-hint", "95 % within")
        assert watch.locator("#plots .plot").count() == 5 and watch.locator("#plots canvas").count() == 5
        assert "$" in watch.locator("#tile-cost").inner_text()

        # The cursor is one for all plots, by the keyboard too, and tells the decision near it.
        plot = watch.locator("#plots .canvas").first
        plot.focus()
        moved, place = [], plot.bounding_box()
        for _ in range(60):
            plot.press("ArrowLeft")
            moved.append(watch.locator("#moment").inner_text())
            if "start " in moved[-1]:
                break
        assert "start " in moved[-1], moved
        assert plot.bounding_box() == place, "the plots stay where they are while the cursor moves"
        lines = watch.locator("#plots .u-cursor-x").all()
        assert len(lines) == 5 and all("u-off" not in line.get_attribute("class") for line in lines)

        # Each plot has a table.
        for details in watch.locator("#plots details summary").all():
            details.click()
        watch.locator("#plots .plot:first-child table tbody tr").nth(5).wait_for()
        expect_accessible(watch, "tables")
        for details in watch.locator("#plots details summary").all():
            details.click()

        wait_text(watch, "#decisions", "end ", "to stop")
        wait_text(watch, "#tile-machines", "0")
        for range_name in ("Hour", "Day", "Minute"):
            watch.locator(".ranges").get_by_text(range_name).click()
            watch.wait_for_timeout(300)
        for width in (320, 768, 1440):
            watch.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                watch.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                watch.wait_for_timeout(200)
                watcher.screenshot(f"watch-{width}-{scheme}", full_page=True)
                assert watch.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
                expect_accessible(watch, f"{width} {scheme}")


def test_says_when_the_server_is_away_and_goes_on_by_itself(chromium, tmp_path):
    flags = (*browser.model_flags(), *FLAGS)
    with imgrec.Service("local", *flags, state_dir=tmp_path) as service, browser.Page(chromium, service) as page:
        page.page.goto(page.origin + "/#watch")
        page.page.locator("#live[data-state=live]").wait_for()
        service.stop(signal.SIGKILL)
        wait_text(page.page, "#live", "Connecting again")
        assert "not answering" in page.page.locator("#problem").inner_text()
        with imgrec.Service("local", *flags, "--port", service.address[1], state_dir=tmp_path):
            page.page.locator("#live[data-state=live]").wait_for()
            assert not page.page.locator("#problem").is_visible()


def test_a_key_without_the_right_is_told_which_it_lacks(chromium, tmp_path):
    where = ["--web-keys-file", str(tmp_path / "keys.json")]
    key = imgrec.run("key", "create", *where, "--role", "submit", "--name", "browser").stdout.strip()
    with imgrec.Service("web", *where) as service, browser.Page(chromium, service) as page:
        page.page.goto(page.origin + "/#watch")
        page.page.wait_for_selector("#sign-in[open]")
        page.page.fill("#key", key)
        page.page.click("#sign-in button")
        wait_text(page.page, "#problem", "This view needs the role read")
        assert page.page.locator("#live").inner_text() == "Not allowed"
        expect_accessible(page.page, "without the right")


def test_the_page_is_light(chromium):
    with imgrec.Service("web") as service, browser.Page(chromium, service) as page:
        page.page.goto(page.origin + "/#watch")
        page.page.locator("#plots canvas").first.wait_for()
        loaded = page.page.evaluate("performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname)")
        files = {"/", *(path for path in loaded if not path.startswith("/v1/"))}
        assert {"/uplot.js", "/watch.js", "/style.css"} <= files
        packed = {path: len(gzip.compress(service.request("GET", path)[2], 9)) for path in files}
        assert sum(packed.values()) < 100_000, packed


def test_a_service_without_a_controller_is_said_to_be_so(chromium):
    with imgrec.Service("web") as service, browser.Page(chromium, service) as page:
        page.page.goto(page.origin + "/#watch")
        wait_text(page.page, "#problem", "No controller has told anything yet")
        assert page.page.locator("#tile-queue").inner_text() == "–"
        expect_accessible(page.page, "without a controller")
