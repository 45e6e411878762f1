"""client_requests.py URL PHOTO…: what requests is told by the compatibility routes, in both dialects."""
import json
import pathlib
import sys

import requests

url, photos = sys.argv[1], [pathlib.Path(path) for path in sys.argv[2:]]


def upload(path, field, name, content):
    return requests.post(url + path, files={field: (name, content)}, timeout=100)


told = {dialect: [upload(path, field, photo.name, photo.read_bytes()) for photo in photos]
        for dialect, path, field in (("2021", "/any/path", "myfile"), ("2026", "/", "inputFile"))}
types = sorted({answer.headers["Content-Type"] for answers in told.values() for answer in answers})
error = upload("/", "inputFile", "notes.txt", b"just some text")
session = requests.Session()  # keeps the cookie, so that the results are known again
for photo in photos:
    session.post(url + "/upload", files={"myfile": (photo.name, photo.read_bytes())}, timeout=100)
results = session.get(url + "/results", timeout=100).json()
session.post(url + "/reset", timeout=100)
print(json.dumps({**{dialect: [[answer.status_code, answer.text] for answer in answers] for dialect, answers in told.items()},
                  "types": types, "error": [error.status_code, error.text], "results": results,
                  "after_reset": session.get(url + "/results", timeout=100).json()}))
