"""The state folder of `imgrec local` as text that git keeps: a dump of its queues (queues.sql) and the files of its object store, a
line of JSON each (objects.jsonl).

    IMGREC_BINARY=build/release/imgrec PYTHONPATH=tests/support python3 tests/formats/state.py tests/formats/VERSION

records that folder with this build: four images that have results and three that were accepted and wait."""
import base64
import json
import pathlib
import re
import sqlite3
import sys
import tempfile

import imgrec
import quick_model

SESSION = {"Content-Type": "image/bmp", "X-Session-Id": "session-1"}


def restore(recorded, state):
    """Makes a state folder of what was recorded."""
    state.mkdir(mode=0o700)
    with sqlite3.connect(state / "queue.sqlite") as queues:
        queues.executescript((recorded / "queues.sql").read_text())
    queues.close()
    for line in (recorded / "objects.jsonl").read_text().splitlines():
        entry = json.loads(line)
        file = state / "objects" / entry["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(entry["text"].encode() if "text" in entry else base64.b64decode(entry["base64"]))


def save(state, recorded):
    queues = sqlite3.connect(state / "queue.sqlite")
    pragmas = [f"PRAGMA {name}={queues.execute(f'PRAGMA {name}').fetchone()[0]};" for name in ("application_id", "user_version")]
    # Whenever the record is read, somebody still waits for those images.
    dump = re.sub(r'"expires_at":"[^"]*"', '"expires_at":"2999-01-01T00:00:00.000Z"', "\n".join(queues.iterdump()))
    queues.close()
    (recorded / "queues.sql").write_text("\n".join([*pragmas, dump]) + "\n")
    with open(recorded / "objects.jsonl", "w") as lines:
        for file in sorted((state / "objects").rglob("*")):
            if file.is_file():
                content, entry = file.read_bytes(), {"path": str(file.relative_to(state / "objects"))}
                try:
                    entry["text"] = content.decode()
                except UnicodeDecodeError:
                    entry["base64"] = base64.b64encode(content).decode()
                print(json.dumps(entry), file=lines)


def record(recorded):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        quick_model.install(folder)
        state = folder / "state"
        with imgrec.Service("local", "--model", quick_model.NAME, "--model-dir", folder, state_dir=state) as service:
            for colour in quick_model.COLOURS:
                status, _, body = service.request("POST", f"/v1/classify?name={colour}.bmp", quick_model.picture(colour), SESSION)
                assert status == 200, body
            status, _, body = service.request("POST", "/v1/classify?name=damaged.bmp", quick_model.picture("red")[:60], SESSION)
            assert status == 422, body
        with imgrec.Service("web", state_dir=state) as service:  # without workers
            for colour in quick_model.COLOURS:
                status, _, body = service.request("POST", f"/v1/classify?name={colour}-waits.bmp", quick_model.picture(colour),
                                                  SESSION | {"Prefer": "respond-async", "Idempotency-Key": colour})
                assert status == 202, body
        recorded.mkdir(exist_ok=True)
        save(state, recorded)


if __name__ == "__main__":
    record(pathlib.Path(sys.argv[1]))
