"""The page goes on by itself when the server was away."""
import os
import signal

import pytest

import browser
import imgrec

PHOTOS = 150
UNANSWERED_MAX = 100  # of sender.js: so many are accepted before the page waits for answers


def results(service):
    return [path for path in (service.state_dir / "objects").rglob("*.json") if path.parent.name.startswith("results")]


def test_photos_survive_a_killed_server(tmp_path):
    flags = (*browser.model_flags(), "--min-workers", "1", "--max-workers", "1")
    with browser.chromium() as chromium, imgrec.Service("local", *flags, state_dir=tmp_path) as service:
        imgrec.wait_until(service.children, what="a worker")
        worker = service.children()[0]
        os.kill(worker, signal.SIGSTOP)  # so that all are still to be answered when the server goes
        with browser.Page(chromium, service) as page:
            page.drop(f"photo-{i}.png" for i in range(PHOTOS))
            page.wait_for_states(30, waiting=UNANSWERED_MAX, queued=PHOTOS - UNANSWERED_MAX)
            # A killed node lists no jobs that came within its last fifth of a second (roles/web/HTTP.md).
            page.page.wait_for_timeout(1000)
            service.process.kill()
            os.kill(worker, signal.SIGKILL)
            service.wait()

            connection = page.page.locator("#connection")
            connection.filter(has_text="The server is not answering; trying again in ").wait_for()
            page.screenshot("restart-away")
            assert page.count("failed") == 0 and page.count("waiting") == UNANSWERED_MAX

            with imgrec.Service("local", *flags, "--port", service.address[1], state_dir=tmp_path) as again:
                page.wait_for_states(50, done=PHOTOS)
                assert page.page.locator("#photos .labels").count() == PHOTOS
                assert not connection.is_visible()
                page.screenshot("restart-back")
                page.page.reload()
                page.wait_for_states(30, done=PHOTOS)
                shown = page.page.locator("#photos .name").all_text_contents()
                assert sorted(shown) == sorted(f"photo-{i}.png" for i in range(PHOTOS))
                # Those that were accepted were asked about, and not sent again.
                assert len(results(again)) == PHOTOS


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_photos_survive_a_server_that_goes_while_it_answers(tmp_path, end):
    flags = (*browser.model_flags(), "--min-workers", "1", "--max-workers", "1")
    with browser.chromium() as chromium, imgrec.Service("local", *flags, state_dir=tmp_path) as service:
        with browser.Page(chromium, service) as page:
            page.drop(f"photo-{i}.png" for i in range(80))
            imgrec.wait_until(lambda: page.page.wait_for_timeout(10) or page.count("done"), what="the first answer")
            service.stop(end)
            page.drop(f"later-{i}.png" for i in range(20))
            page.page.locator("#connection").filter(has_text="The server is not answering; trying again in ").wait_for()
            assert page.count("failed") == 0
            with imgrec.Service("local", *flags, "--port", service.address[1], state_dir=tmp_path) as again:
                page.wait_for_states(50, done=100)
                # Answers to the three uploads that were under way may have been lost: those were sent again.
                assert 100 <= len(results(again)) <= 103
