"""`imgrec load` against the real service, and its report in a browser: opened from a file, offline."""
import csv
import json

import pytest

import browser
import imgrec

IMAGES = 12
FLAGS = ("--min-workers", "0", "--max-workers", "2", "--idle-cooldown", "2s", "--boot-delay", "2s", "--controller-price", "0.36", "--policy", "depth")


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def photos(chromium, tmp_path_factory):
    """PNGs that the browser draws, each different; one has a name that is markup."""
    folder = tmp_path_factory.mktemp("photos")
    page = chromium.new_page()
    for i in range(IMAGES):
        page.set_content(f"<body style='background:hsl({30 * i} 60% 50%)'><h1>{i}</h1>")
        page.screenshot(path=str(folder / (f"photo-{i}.png" if i else "<b onload=alert(1)>.png")), clip={"x": 0, "y": 0, "width": 96, "height": 96})
    page.close()
    return folder


def load(service, *arguments, code=0):
    done = imgrec.run("load", "--url", "http://{}:{}".format(*service.address), *arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """The service with all images at once while no worker runs, and the other ways of sending; the report of the first."""
    folder = tmp_path_factory.mktemp("report")
    report, table = folder / "report.html", folder / "table.csv"
    with imgrec.Service("local", *browser.model_flags(), *FLAGS) as service:
        first = json.loads(load(service, "--json", "-", "--csv", table, "--html", report, "--watch-after", "8s", photos).stdout)
        labels = folder / "labels.csv"
        with table.open() as told, labels.open("w") as out:
            csv.writer(out).writerows([("Image", "Results"), *((row["name"], row["label"]) for row in csv.DictReader(told))])
        ways = {name: json.loads(load(service, "--json", "-", "--predictions", labels, *flags, photos).stdout)
                for name, flags in (("waiting", ()), ("async", ("--async", "--poll", "100ms")), ("batch", ("--batch", 4)),
                                    ("async batch", ("--async", "--batch", 4, "--poll", "100ms")), ("2021", ("--dialect", 2021)),
                                    ("2026", ("--dialect", 2026)), ("open", ("--rate", 20, "--requests", IMAGES)))}
    return first, report, ways


def test_all_images_are_answered_and_what_it_took_is_told(run):
    first, _, ways = run
    assert (first["ok"], first["failed"], first["images"]) == (IMAGES, 0, IMAGES)
    assert first["first_label_s"] >= 2, "no worker ran before"
    service = first["service"]
    assert service["problem"] == "" and service["machines_max"] >= 1
    assert service["machine_seconds"] > 2 and service["dollars"] == pytest.approx(0.0001 * service["machine_seconds"], rel=0.01)
    for name, told in ways.items():
        assert (told["images"], told["failed"], told["accuracy"]) == (IMAGES, 0, 1), (name, told)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_offline_and_is_accessible(run, chromium, scheme):
    from axe_playwright_python.sync_playwright import Axe
    context = chromium.new_context(color_scheme=scheme, offline=True)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
    page.goto(run[1].as_uri())
    assert page.locator("svg polyline").count() >= 8
    marks = page.locator("svg line title").all_text_contents()
    assert any("+" in mark and "messages" in mark for mark in marks) and any(", -" in mark for mark in marks), "scale-out and scale-in"
    assert page.locator("details").count() == 5
    for details in page.locator("details").all():
        details.locator("summary").click()
        assert details.locator("tr").count() > 3
    results = Axe().run(page)
    assert not results.violations_count, results.generate_report()
    browser.SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(browser.SCREENSHOTS / f"load-report-{scheme}.png"), full_page=True)
    context.close()
    assert not complaints, complaints
