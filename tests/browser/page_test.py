"""The page in a browser: what people see and do with it."""
import json
import pathlib
import shlex
import struct
import subprocess
import time

import pytest

import browser
import imgrec

HTML_NAMES = [name + ".png" for name in (
    "<script>alert(1)<:script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "\"><script>alert(1)<:script>",
    "'><img src=x onerror=alert(1)>", "<iframe srcdoc='<script>alert(1)<:script>'>", "javascript:alert(1)", "{{constructor}}",
    "${alert(1)}", "<body onload=alert(1)>", "<a href=javascript:alert(1)>x", "&lt;b&gt;&amp;", "<!--", "]]>", "<style>*{display:none}",
    "<template><b>", "<textarea>", "<plaintext>", "<b>bold<:b>", "<base href=https:::else.example>")]


def tiff():
    """One of 16 x 16 pixels, uncompressed grey."""
    entries = [(256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 134), (277, 3, 1), (278, 4, 16), (279, 4, 256)]
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHI", tag, kind, 1) + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value))
    head = b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0)
    return head.ljust(134, b"\0") + bytes(range(256))


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def service():
    with imgrec.Service("local", *browser.model_flags(), "--min-workers", "1", "--max-workers", "1") as started:
        yield started


@pytest.fixture
def page(chromium, service):
    with browser.Page(chromium, service) as opened:
        yield opened


@pytest.fixture
def unanswered(chromium):
    """A page whose photos are accepted and not answered: no worker runs."""
    with imgrec.Service("web") as web, browser.Page(chromium, web) as opened:
        yield opened


def choose(page, *paths):
    page.page.set_input_files("#files", [str(path) for path in paths])


def expect_accessible(page, what):
    from axe_playwright_python.sync_playwright import Axe
    results = Axe().run(page.page)
    assert not results.violations_count, f"{what}: {results.generate_report()}"


def saved(page, button):
    with page.page.expect_download() as download:
        page.page.click(button)
    return pathlib.Path(download.value.path()).read_text()


def test_a_photo_gets_its_labels_and_times(page):
    page.drop(["a photo.png"])
    page.wait_for_states(30, done=1)
    row = page.page.locator("#photos > li")
    assert row.locator(".name").inner_text() == "a photo.png"
    assert row.locator(".labels li").count() == 5 and row.locator(".state").inner_text()
    assert row.locator(".stages span").count() == 4
    for word in ("waited", "fetched", "decoded", "inferred", "in all"):
        assert word in row.locator(".meta").inner_text()
    assert page.page.locator("#summary").inner_text() == "1 of 1 recognised."
    assert json.loads(saved(page, "#json"))["results"][0]["name"] == "a photo.png"


def test_a_sample_is_one_click_from_its_label(page):
    page.page.route("**/samples/samples.json", lambda route: route.fulfill(
        body=json.dumps([{"file": "a.tiff", "title": "A grey square", "by": "Nobody, CC0"}])))
    page.page.route("**/samples/a.tiff", lambda route: route.fulfill(body=tiff()))
    page.page.reload()
    samples = page.page.locator("#samples")
    samples.locator("button", has_text="A grey square").wait_for()
    assert "Photo: Nobody, CC0" in samples.inner_text()
    expect_accessible(page, "samples")
    samples.locator("button").click()
    page.wait_for_states(30, done=1)
    assert page.page.locator("#photos .name").inner_text() == "a.tiff" and not samples.is_visible()
    page.page.click("#clear")
    samples.wait_for()


def test_the_samples_of_this_build_are_served_and_light(service):
    def get(name):
        status, headers, body = service.request("GET", f"/samples/{name}")
        assert status == 200, name
        return headers, body

    made = imgrec.ROOT / "build/samples/page/samples.json"
    listed = json.loads(get("samples.json")[1])
    assert [one["file"] for one in listed] == ([one["file"] for one in json.loads(made.read_text())] if made.exists() else [])
    assert sum(len(get(one["file"])[1]) for one in listed) <= 40_000


def test_an_error_of_the_image_stays_one(page, tmp_path):
    (tmp_path / "no image.jpg").write_bytes(b"this is text\n" * 20)
    choose(page, tmp_path / "no image.jpg")
    page.wait_for_states(30, failed=1)
    assert not page.page.locator("#connection").is_visible() and not page.page.locator(".action").is_visible()
    assert page.page.locator(".frame").inner_text() == "JPG"
    assert saved(page, "#csv") == "Image,Results\nno image,(unsupported_format)\n"


def test_what_the_browser_cannot_show_the_server_shows(page, tmp_path):
    (tmp_path / "scan.tiff").write_bytes(tiff())
    choose(page, tmp_path / "scan.tiff")
    page.wait_for_states(30, done=1)
    page.page.locator(".frame canvas").wait_for()
    # Its greys from black to white: the photo, upright, and no empty canvas.
    rows = page.page.evaluate("""() => {
      const canvas = document.querySelector('.frame canvas');
      const column = canvas.getContext('2d').getImageData(canvas.width / 2, 0, 1, canvas.height).data;
      return [5, canvas.height / 2, canvas.height - 5].map((y) => column[4 * y]);
    }""")
    assert rows[0] < 80 < rows[1] < 180 < rows[2]
    assert "thumbnail" not in saved(page, "#json")

    page.page.reload()  # kept as those are that the browser made
    page.page.locator(".frame canvas").wait_for()


def test_until_its_labels_come_such_a_photo_has_a_placeholder(unanswered, tmp_path):
    (tmp_path / "scan.tiff").write_bytes(tiff())
    choose(unanswered, tmp_path / "scan.tiff")
    unanswered.wait_for_states(30, waiting=1)
    assert unanswered.page.locator(".frame").inner_text() == "TIFF"


def test_the_choice_of_files_offers_every_format(page):
    accepted = page.page.locator("#files").get_attribute("accept").split(",")
    assert {"image/heic", "image/avif", ".heic", ".avif"} <= set(accepted)


def without_store_time(document):
    """How long storing took is in the answer alone: what is stored cannot tell it."""
    return document | {"timings_ms": {name: ms for name, ms in document["timings_ms"].items() if name != "store"}}


def test_photos_come_back_after_a_reload(page, tmp_path):
    (tmp_path / "cut.tiff").write_bytes(tiff()[:150])  # accepted, and refused by the worker
    names = [f"photo-{i}.png" for i in range(14)]
    page.drop(names)
    page.wait_for_states(30, done=14)
    choose(page, tmp_path / "cut.tiff")
    page.wait_for_states(30, done=14, failed=1)
    before = {document["name"]: document for document in json.loads(saved(page, "#json"))["results"]}
    pictures = "async () => { const { getPicture } = await import('/kept.js'); return Boolean(await getPicture(%r)); }"
    for name in names:  # also of those that were never in sight
        imgrec.wait_until(lambda: page.page.evaluate(pictures % before[name]["job"]), 10, f"the picture of {name}")

    page.page.reload()
    page.wait_for_states(30, done=14, failed=1)
    shown = page.page.locator("#photos .name").all_text_contents()
    assert (sorted(shown[:14]), shown[14]) == (sorted(names), "cut.tiff"), "oldest first"
    first = page.page.locator("#photos > li").first
    first.locator("canvas").wait_for()
    first.locator(".labels li").nth(4).wait_for()
    assert not page.page.locator(".action:visible").count(), "nothing that needs the file is offered"
    for document in json.loads(saved(page, "#json"))["results"]:
        if document["name"] in names:
            assert without_store_time(document) == without_store_time(before[document["name"]])
        else:
            assert document["error"] == before["cut.tiff"]["error"]

    # New photos come after them, and a cleared list stays cleared.
    page.drop(["later.png"])
    page.wait_for_states(30, done=15, failed=1)
    assert page.page.locator("#photos .name").last.text_content() == "later.png"
    page.page.click("#clear")
    page.page.reload()
    page.drop(["new.png"])
    page.wait_for_states(30, done=1)
    assert page.count() == 1


def test_photos_that_wait_come_back_and_are_asked_about(unanswered):
    page = unanswered
    page.drop(["a.png", "b.png"])
    page.wait_for_states(30, waiting=2)
    unknown = {"code": "unknown_job", "title": "Unknown job", "retryable": False}
    page.page.route("**/v1/jobs/*", lambda route: route.fulfill(status=404, body=json.dumps(unknown)))
    page.page.reload()
    page.wait_for_states(30, failed=2)
    assert "Choose it again" in page.page.locator(".state").first.inner_text()
    assert not page.page.locator(".action:visible").count() and not page.page.locator("#retry").is_visible()


def test_a_file_that_is_gone_is_said_and_not_tried_for_ever(page, tmp_path):
    path = tmp_path / "gone.png"
    path.write_bytes(b"x" * 1000)
    page.page.route("**/v1/classify*", lambda route: (path.unlink(missing_ok=True), route.abort("connectionreset")))
    choose(page, path)
    page.wait_for_states(30, failed=1)
    assert "cannot be read" in page.page.locator(".state").inner_text()


@pytest.mark.parametrize("status, headers, body, said", [
    (503, {"Retry-After": "1"}, {"code": "overloaded", "title": "Overloaded"}, "The server is busy; trying again in "),
    (429, {"Retry-After": "1"}, {}, "The server is busy; trying again in "),
    (503, {"Retry-After": "1"}, {"code": "disk_full", "title": "Disk full"}, "The server cannot go on (Disk full); trying again in "),
    (502, {}, None, "The server is not answering; trying again in "),
    (504, {}, None, "The server is not answering; trying again in ")])
def test_a_refusal_for_now_is_waited_for(page, status, headers, body, said):
    refusing = [True]

    def answer(route):
        if not refusing:
            return route.continue_()
        route.fulfill(status=status, headers=headers, body="<html>" if body is None else json.dumps(body))

    page.page.route("**/v1/classify*", answer)
    page.drop(["a.png", "b.png", "c.png"])
    page.page.locator("#connection").filter(has_text=said).wait_for()
    assert page.count("failed") == 0
    refusing.clear()
    page.wait_for_states(30, done=3)
    assert not page.page.locator("#connection").is_visible()


def test_a_wait_can_be_cut_short(page):
    answers = [503]
    page.page.route("**/v1/classify*", lambda route: route.fulfill(status=answers.pop(), headers={"Retry-After": "200"}, body="{}")
                    if answers else route.continue_())
    page.drop(["a.png"])
    page.page.click("#now")
    page.wait_for_states(30, done=1)


def test_failed_photos_are_tried_again_when_that_may_help(page):
    failing = [True]
    internal = {"code": "internal_error", "title": "Internal error", "detail": "A fault of the service.", "retryable": True}
    page.page.route("**/v1/classify*", lambda route: route.fulfill(status=500, body=json.dumps(internal)) if failing else route.continue_())
    page.drop(["a.png", "b.png", "c.png"])
    page.wait_for_states(30, failed=3)
    assert page.page.locator(".state").all_inner_texts() == ["A fault of the service."] * 3
    failing.clear()
    page.page.locator(".action").first.click()
    page.wait_for_states(30, done=1, failed=2)
    page.page.click("#retry")
    page.wait_for_states(30, done=3)
    assert not page.page.locator("#retry").is_visible()


def test_a_job_that_the_server_lost_is_sent_again(page):
    lost = ["a look-up"]
    unknown = {"code": "unknown_job", "title": "Unknown job", "retryable": False}
    page.page.route("**/v1/jobs/*", lambda route: route.fulfill(status=404, body=json.dumps(unknown)) if lost and lost.pop()
                    else route.continue_())
    page.drop(["a.png"])
    page.wait_for_states(30, done=1)
    assert not lost


def test_look_ups_that_are_not_held_are_few(unanswered):
    page, asked = unanswered, []
    page.page.on("request", lambda request: asked.append(request) if "/v1/jobs/" in request.url else None)
    page.page.route("**/v1/jobs/*", lambda route: route.continue_(headers={**route.request.headers, "prefer": ""}))
    page.drop(f"{i}.png" for i in range(20))
    page.wait_for_states(30, waiting=20)
    asked.clear()
    page.page.wait_for_timeout(3000)
    assert 1 <= len(asked) <= 14  # two at a time, half a second each


def test_unsent_photos_can_be_cancelled(unanswered):
    page = unanswered
    page.drop(f"{i}.png" for i in range(130))
    page.wait_for_states(30, waiting=100, queued=30)
    page.page.locator("[data-state=queued] .action").first.click()
    page.wait_for_states(30, cancelled=1)
    page.page.click("#cancel")
    page.wait_for_states(30, waiting=100, cancelled=30)
    page.page.locator("[data-state=cancelled] .action").first.click()
    page.wait_for_states(30, queued=1, cancelled=29)
    assert "100 waiting for their turn, 1 to send, 29 cancelled." in page.page.locator("#summary").inner_text()
    page.page.click("#clear")
    assert page.count() == 0


def test_a_photo_in_the_queue_can_be_cancelled(unanswered):
    page = unanswered
    page.drop(["a.png", "b.png"])
    page.wait_for_states(30, waiting=2)
    page.page.locator("[data-state=waiting] .action").first.click()
    page.wait_for_states(3, waiting=1, cancelled=1)  # sooner than the five seconds that a look-up is held
    states = [job["state"] for job in page.page.evaluate("async () => (await (await fetch('/v1/jobs')).json()).jobs")]
    assert sorted(states) == ["cancelled", "queued"]
    assert page.page.locator("[data-state=cancelled] .action").inner_text() == "Send after all"
    page.page.reload()
    page.wait_for_states(30, waiting=1, cancelled=1)
    assert page.page.locator(".action:visible").count() == 1, "a photo of an earlier visit cannot be sent again"


def test_photos_are_found_sorted_and_saved_as_shown(page, tmp_path):
    (tmp_path / "no image.jpg").write_bytes(b"this is text\n" * 20)
    page.drop(["b10.png", "b9.png", "a.png"])
    choose(page, tmp_path / "no image.jpg")
    page.wait_for_states(30, done=3, failed=1)

    def visible():
        return page.page.eval_on_selector_all("#photos > li:not([hidden]) .name", "all => all.map((one) => one.textContent)")

    came = visible()
    page.page.select_option("#sort", "name")
    assert visible() == ["a.png", "b9.png", "b10.png", "no image.jpg"], "numbers count as such"
    page.page.select_option("#sort", "score")
    scores = page.page.eval_on_selector_all("#photos .labels li:first-child .score", "all => all.map((one) => parseFloat(one.textContent))")
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and visible()[-1] == "no image.jpg"
    label = page.page.locator("#photos > li:not([hidden]) .state").first.inner_text()
    best = visible()[0]
    page.page.fill("#find", label.upper())
    assert best in visible() and "no image.jpg" not in visible()
    page.page.fill("#find", "B9.")
    assert visible() == ["b9.png"]
    assert page.page.locator("#csv").inner_text() == "Save CSV of 1 shown"
    expect_accessible(page, "filtered")
    assert saved(page, "#csv").split("\n")[1].startswith("b9,") and saved(page, "#csv").count("\n") == 2
    assert [one["name"] for one in json.loads(saved(page, "#json"))["results"]] == ["b9.png"]
    page.page.fill("#find", "no such name or label")
    assert visible() == [] and page.page.locator("#csv").is_disabled()
    assert page.page.locator("#no-match").inner_text() == "No photo matches. Show all"
    expect_accessible(page, "no-match")
    page.page.click("#show-all")
    assert len(visible()) == 4 and page.page.locator("#no-match").is_hidden() and page.page.locator("#csv").is_enabled()
    assert page.page.evaluate("document.activeElement.id") == "find"
    page.page.select_option("#show", "failed")
    assert visible() == ["no image.jpg"]
    page.page.select_option("#show", "")
    page.page.select_option("#sort", "")
    assert visible() == came and page.page.locator("#csv").inner_text() == "Save CSV"


def test_the_photos_of_a_folder_are_taken(page, tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below/scan.tiff").write_bytes(tiff())
    (tmp_path / "notes.txt").write_text("no photo")
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#folder")
    chooser.value.set_files(str(tmp_path))
    page.wait_for_states(30, done=1)
    assert page.page.locator("#photos .name").all_inner_texts() == ["scan.tiff"]


def test_a_phone_is_offered_its_camera(chromium, service, tmp_path):
    (tmp_path / "camera.tiff").write_bytes(tiff())
    with browser.Page(chromium, service, has_touch=True, is_mobile=True, viewport={"width": 320, "height": 640}) as page:
        assert page.page.locator("#camera-file").get_attribute("capture") == "environment"
        assert page.page.locator("#camera").is_visible() and not page.page.locator("#folder").is_visible()
        with page.page.expect_file_chooser() as chooser:
            page.page.click("#camera")
        chooser.value.set_files(str(tmp_path / "camera.tiff"))
        page.wait_for_states(30, done=1)


def shell_words(command, folder):
    """What bash passes to the command's program."""
    done = subprocess.run(["bash", "-c", f'curl() {{ printf "%s\\0" "$@"; }}; {command}'], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def test_hundreds_of_photos_with_hostile_names(chromium, service, tmp_path):
    names = json.loads(blns(tmp_path)) + HTML_NAMES
    with browser.Page(chromium, service) as page:
        under_way, most = set(), [0]

        def began(request):
            if "/v1/classify" in request.url:
                under_way.add(request)
                most[0] = max(most[0], len(under_way))

        page.page.on("request", began)
        page.page.on("requestfinished", lambda request: under_way.discard(request))
        page.page.evaluate("""() => {
          window.longest = 0;
          new PerformanceObserver((list) => { for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration); })
            .observe({ type: 'longtask' });
        }""")
        start = time.monotonic()
        page.drop(names)
        page.wait_for_states(120, done=len(names))
        print(f"{len(names)} photos in {time.monotonic() - start:.1f} s, longest task {page.page.evaluate('window.longest')} ms")
        assert 1 < most[0] <= 3
        shown = page.page.eval_on_selector_all("#photos .name", "all => all.map((one) => one.textContent)")
        assert shown == [name or "(no name)" for name in names]
        # What the server got and gave back is the same.
        documents = json.loads(saved(page, "#json"))["results"]
        assert [document["name"] for document in documents] == names
        commands = page.page.evaluate("""async (names) => {
          const { curl } = await import('/export.js');
          return names.map((name) => curl({ file: { name } }, 'http://h'));
        }""", names)
        words = shell_words("; ".join(commands).replace("curl --data-binary", "curl"), tmp_path)
        assert words[::2] == ["@" + (name if name != "-" else "./-") for name in names]
        assert all(word.startswith("http://h/v1/classify?") for word in words[1::2])


def blns(folder):
    subprocess.run(["tar", "xJf", str(imgrec.shared("testdata/filenames-blns.tar.xz")), "-C", str(folder)], check=True)
    return (folder / "filenames-blns/blns.json").read_text()


def tab_to(page, selector, presses=12):
    for _ in range(presses):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} was not reached with the Tab key")


def test_the_keyboard_alone_leads_to_saved_results(page, tmp_path):
    (tmp_path / "scan.tiff").write_bytes(tiff())
    choosers = []
    page.page.on("filechooser", lambda chooser: choosers.append(chooser))  # early: the browser has to be told
    tab_to(page, "#files")
    page.page.keyboard.press("Space")
    imgrec.wait_until(lambda: page._pump() and choosers, 30, "the file chooser")
    choosers[0].set_files(str(tmp_path / "scan.tiff"))
    page.wait_for_states(30, done=1)
    tab_to(page, "#csv")
    with page.page.expect_download() as download:
        page.page.keyboard.press("Enter")
    head, row, end = pathlib.Path(download.value.path()).read_text().split("\n")
    assert head == "Image,Results" and row.startswith("scan,") and len(row) > 6 and end == ""
    imgrec.wait_until(lambda: page._pump() and "Saved" in page.page.locator("#announcement").inner_text(), 10, "the announcement")
    tab_to(page, "#photos .curl")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.page.keyboard.press("Enter")
    page.page.locator(".curl", has_text="Copied").wait_for()
    copied = shlex.split(page.page.evaluate("navigator.clipboard.readText()"))
    assert copied == ["curl", "--data-binary", "@scan.tiff", page.origin + "/v1/classify?top_k=5&name=scan.tiff"]


def test_copying_works_without_the_clipboard_of_secure_pages(page):
    page.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.page.evaluate("document.addEventListener('copy', () => { window.copied = document.activeElement.value; })")
    page.drop(["a.png"])
    page.wait_for_states(30, done=1)
    page.page.click(".json")
    page.page.locator(".json", has_text="Copied").wait_for()
    assert json.loads(page.page.evaluate("window.copied"))["name"] == "a.png"
    assert page.page.evaluate("document.activeElement.className") == "json"  # the focus stays where it was


def test_pasted_photos_are_taken(page):
    page.page.evaluate(f"""async () => {{
      const clipboardData = new DataTransfer();
      for (const file of await ({browser.MAKE_PHOTOS})(['image.png'])) clipboardData.items.add(file);
      document.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData }}));
    }}""")
    page.wait_for_states(30, done=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1440])
def test_every_view_fits_and_is_accessible(chromium, service, tmp_path, scheme, width):
    (tmp_path / "no image.jpg").write_bytes(b"this is text\n" * 20)
    (tmp_path / "scan.tiff").write_bytes(tiff())
    size = {"width": width, "height": 900}
    with browser.Page(chromium, service, viewport=size, color_scheme=scheme, reduced_motion="reduce") as page:
        expect_accessible(page, "empty")
        page.screenshot(f"empty-{scheme}-{width}")
        page.drop(["holiday at the sea, the second day.png", "IMG_20260713_101112345_HDR_edited_final_version_of_it_all.png"])
        choose(page, tmp_path / "scan.tiff", tmp_path / "no image.jpg")
        page.wait_for_states(30, done=3, failed=1)
        expect_accessible(page, "done")
        page.screenshot(f"done-{scheme}-{width}", full_page=True)
        page.page.route("**/v1/**", lambda route: route.abort("connectionrefused"))
        page.page.route("**/healthz", lambda route: route.abort("connectionrefused"))
        page.drop([f"{i}.png" for i in range(6)])
        page.page.locator("#connection").filter(has_text="The server is not answering").wait_for()
        page.page.locator("[data-state=queued] .action").last.click()
        page.wait_for_states(30, cancelled=1)
        expect_accessible(page, "waiting")
        page.screenshot(f"waiting-{scheme}-{width}", full_page=True)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.page.evaluate("document.getAnimations().length") == 0  # reduced motion


def test_the_switch_of_colours_is_kept(chromium, service):
    with browser.Page(chromium, service, color_scheme="dark") as page:
        def look():
            return page.page.locator("#theme").get_attribute("aria-checked"), page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        dark = look()
        page.page.click("#theme")
        light = look()
        assert dark[0] == "true" and light[0] == "false" and dark[1] != light[1]
        page.page.reload()
        assert look() == light


def test_the_documentation_shows_every_operation_under_its_policy(page, service):
    page.page.goto(page.origin + "/docs")
    paths = json.loads(service.request("GET", "/openapi.json")[2])["paths"]
    operations = sum(len(methods) for methods in paths.values())
    imgrec.wait_until(lambda: page._pump() and page.page.locator(".opblock").count() == operations, 30, "every operation")
    page.page.goto(page.origin + "/docs/errors/image_truncated")
    assert page.page.locator("h1").inner_text() == "Image truncated"


def test_it_asks_for_a_key_where_one_is_needed_and_goes_on_with_it(chromium, tmp_path):
    where = ["--web-keys-file", str(tmp_path / "keys.json")]
    key = imgrec.run("key", "create", *where, "--role", "submit", "--name", "browser").stdout.strip()
    photo = tmp_path / "a.tiff"
    photo.write_bytes(tiff())
    with imgrec.Service("web", *where) as web, browser.Page(chromium, web) as opened:
        page = opened.page
        choose(opened, photo)
        page.wait_for_selector("#sign-in[open]")
        expect_accessible(opened, "the dialog that asks for a key")
        page.keyboard.press("Escape")
        assert page.is_visible("#sign-in"), "nothing goes on without a key"
        page.fill("#key", "imgrec_guess")
        page.click("#sign-in button")
        page.locator("#sign-in-problem", has_text="unknown").wait_for()
        page.fill("#key", key)
        page.click("#sign-in button")
        opened.wait_for_states(30, waiting=1)
        assert page.evaluate("document.cookie") == "", "no script can read the key"
        assert page.evaluate("sessionStorage.length + localStorage.length") == 0
