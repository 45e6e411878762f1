"""Every operation of the service against its own description: what /openapi.json says is what is answered."""
import base64
import gzip
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest

import imgrec
import quick_model

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==")
RAW = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
NO_JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
SCHEMATHESIS_SECONDS = int(os.environ.get("IMGREC_TEST_SCHEMATHESIS_SECONDS", "20"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    quick_model.install(folder)
    limits = {"IMGREC_IMAGE_BYTES_MAX": "64KiB", "IMGREC_WEB_BODY_BYTES_MAX": "1MiB", "IMGREC_WEB_IMAGES_PER_REQUEST_MAX": "5"}
    with imgrec.Service("local", "--model", quick_model.NAME, "--model-dir", folder, "--min-workers", "1", env=limits) as started:
        yield started


@pytest.fixture(scope="module")
def document(service):
    status, headers, body = service.request("GET", "/openapi.json")
    assert status == 200 and headers["content-type"] == "application/json"
    return json.loads(body)


def resolved(document, node):
    """The object that a $ref stands for."""
    while "$ref" in node:
        target = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def operations(document):
    return {operation["operationId"]: (path, method.upper(), operation)
            for path, methods in document["paths"].items() for method, operation in methods.items()}


def expect_as_described(document, name, answer):
    """Status, content type, headers and body of an answer are among those of the operation."""
    status, headers, body = answer
    responses = operations(document)[name][2]["responses"]
    described = responses.get(str(status)) or responses.get("default")
    described = resolved(document, described)
    if str(status) not in responses:
        assert status >= 400, f"{name} answers {status}, which is not described"
    for header in described.get("headers", {}):
        assert header.lower() in headers, f"{name}, {status}: no {header}"
    assert headers["x-request-id"]
    assert status >= 400 or headers["server-timing"]
    if status in (204, 304) or not described.get("content"):
        return None
    kind = headers["content-type"].split(";")[0]
    assert kind in described["content"], f"{name}, {status}: {kind}"
    schema = described["content"][kind]["schema"]
    if not kind.endswith("json"):
        return body.decode()
    value = json.loads(body)
    # Everything is looked up from the root of the document.
    jsonschema.Draft202012Validator(document | schema).validate(value)
    if kind == "application/problem+json":
        assert value["status"] == status and value["request_id"] == headers["x-request-id"]
    return value


def ask(service, document, name, path=None, body=None, headers=None):
    pattern, method, _ = operations(document)[name]
    return expect_as_described(document, name, service.request(method, path or pattern, body, headers or {}))


def test_the_document_is_valid_openapi(document, tmp_path):
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    python = os.environ.get("IMGREC_TEST_API_VENV")
    if not python:
        pytest.skip("IMGREC_TEST_API_VENV is not set: ./dev test sets it")
    done = subprocess.run([f"{python}/bin/python", "-m", "openapi_spec_validator", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_images_in_every_form(service, document):
    one = ask(service, document, "v1_classify", "/v1/classify?name=a%20b.gif&top_k=3", GIF, RAW)
    assert one["name"] == "a b.gif" and len(one["labels"]) == 3 and "thumbnail" not in one
    small = ask(service, document, "v1_classify", "/v1/classify?thumbnail=64", GIF, RAW)
    assert base64.b64decode(small["thumbnail"], validate=True).startswith(b"\xff\xd8\xff")
    body, content_type = imgrec.multipart([("file", "1.gif", GIF), ("file", "2.gif", b"no image"), ("file", "3.gif", GIF)])
    several = ask(service, document, "v1_classify", body=body, headers={"Content-Type": content_type})
    assert ["labels" in item for item in several["results"]] == [True, False, True]
    content = base64.b64encode(GIF).decode()
    packed = gzip.compress(json.dumps({"images": [{"name": "x", "content": content}], "min_score": 1}).encode())
    listed = ask(service, document, "v1_classify", body=packed, headers=JSON | {"Content-Encoding": "gzip"})
    assert listed["results"][0]["name"] == "x" and listed["results"][0]["labels"] == []
    assert "labels" in ask(service, document, "v1_classify", body=json.dumps({"content": content}), headers=JSON)


def test_jobs_are_read_again(service, document):
    pending = ask(service, document, "v1_classify", body=GIF, headers=RAW | {"Prefer": "respond-async"})
    answer = service.request("GET", pending["location"], headers={"Prefer": "wait=30"})
    assert expect_as_described(document, "v1_job", answer)["job"] == pending["job"]
    again = service.request("GET", pending["location"], headers={"If-None-Match": answer[1]["etag"]})
    assert again[0] == 304 and again[2] == b""
    assert ask(service, document, "v1_job", f"/v1/jobs/{NO_JOB}")["code"] == "unknown_job"


def test_compatible_operations(service, document):
    body, content_type = imgrec.multipart([("inputFile", "a.gif", GIF)])
    for name in ("compat", "upload", "classify"):
        headers = {"Content-Type": content_type, "X-Session-Id": "api"}
        assert re.fullmatch(r"a:.+\n?", ask(service, document, name, body=body, headers=headers))
        assert "labels" in ask(service, document, name, body=body, headers=headers | {"Accept": "application/json"})
        assert isinstance(ask(service, document, name, body=b"", headers=headers), str)
    listed = imgrec.wait_until(lambda: ask(service, document, "results", headers={"X-Session-Id": "api", "Accept": "application/json"})["results"])
    assert listed[0]["name"] == "a.gif"
    assert ask(service, document, "reset", headers={"X-Session-Id": "api"}) == {"reset": True}


ERRORS = [
    (400, "no_image", "", b"", RAW),
    (400, "not_multipart", "", b"x", {"Content-Type": "multipart/mixed; boundary=b"}),
    (400, "bad_multipart", "", b"x", {"Content-Type": "multipart/form-data"}),
    (400, "bad_json", "", b"{", JSON),
    (400, "bad_base64", "", b'{"content":"?"}', JSON),
    (400, "bad_gzip", "", b"x", RAW | {"Content-Encoding": "gzip"}),
    (400, "bad_top_k", "?top_k=0", GIF, RAW),
    (400, "bad_min_score", "?min_score=2", GIF, RAW),
    (400, "bad_thumbnail", "?thumbnail=4000", GIF, RAW),
    (403, "other_site", "", GIF, RAW | {"Origin": "http://evil.example"}),
    (404, "unknown_model", "?model=other", GIF, RAW),
    (413, "image_too_large", "", GIF.ljust(65 * 1024), RAW),
    (413, "body_too_large", "", b"x" * (1024 * 1024 + 1), RAW),
    (413, "too_many_images", "", b'{"images":[' + b",".join([b'{"content":""}'] * 6) + b"]}", JSON),
    (415, "unsupported_format", "", b"no image", RAW),
    (415, "unsupported_content_encoding", "", GIF, RAW | {"Content-Encoding": "br"}),
    (417, "expectation_failed", "", GIF, RAW | {"Expect": "magic"}),
    (421, "unknown_host", "", GIF, RAW | {"Host": "evil.example"}),
    (422, "image_truncated", "", GIF[:-6], RAW),
    (422, "image_empty", "", b'{"content":""}', JSON),
    (431, "too_many_headers", "", GIF, RAW | {f"X-{number}": "x" for number in range(200)}),
]


@pytest.mark.parametrize("status,code,query,body,headers", ERRORS, ids=[case[1] for case in ERRORS])
def test_errors_are_problems_whose_page_is_there(service, document, status, code, query, body, headers):
    answer = service.request("POST", "/v1/classify" + query, body, headers)
    problem = expect_as_described(document, "v1_classify", answer)
    assert (answer[0], problem["code"]) == (status, code), problem
    page = service.request("GET", problem["type"])
    assert page[0] == 200 and code in page[2].decode()


def test_every_operation_answers_head_and_options(service, document):
    for name, (pattern, method, operation) in operations(document).items():
        path = re.sub(r"{\w+}", "x", pattern)
        status, headers, _ = service.request("OPTIONS", path)
        assert status == 204 and method in headers["allow"].split(", "), name
        if method == "GET" and not streams_events(operation):
            got, head = service.request("GET", path), service.request("HEAD", path)
            assert (head[0], head[2]) == (got[0], b""), name
            assert head[1]["content-type"] == got[1]["content-type"], name


def test_operations_without_a_body_are_as_described(service, document):
    for name, (pattern, method, operation) in operations(document).items():
        if method != "GET" or streams_events(operation):
            continue
        path = pattern
        for parameter in (resolved(document, node) for node in operation.get("parameters", [])):
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], str(parameter.get("example", "x")))
        expect_as_described(document, name, service.request(method, path))


def streams_events(operation):
    return "text/event-stream" in json.dumps(operation["responses"])


def test_requests_made_up_from_the_document(service, document, tmp_path):
    """schemathesis makes up requests, right and wrong ones; none may end in a fault or in an answer that is not described.
    Streams of events have no end, so they are left out."""
    venv = os.environ.get("IMGREC_TEST_API_VENV")
    if not venv:
        pytest.skip("IMGREC_TEST_API_VENV is not set: ./dev test sets it")
    program = pathlib.Path(venv) / "bin" / "schemathesis"
    url = "http://{}:{}".format(*service.address)
    # A wrong request that is also too large may be refused for its size.
    (tmp_path / "schemathesis.toml").write_text("[checks.negative_data_rejection]\n"
                                                'expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]\n')
    # An answer without an end: tested where it is read as a stream.
    endless = [name for name, (_, _, operation) in operations(document).items() if streams_events(operation)]
    done = subprocess.run([program, "run", url + "/openapi.json", "--url", url, "--max-time", str(SCHEMATHESIS_SECONDS), "--seed", "1",
                           "--no-color", "--request-timeout", "30", "--exclude-path", "/v1/events", "--checks",
                           "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
                           "response_headers_conformance,unsupported_method,allow_header_conformance,negative_data_rejection",
                           *(word for name in endless for word in ("--exclude-operation-id", name))],
                          capture_output=True, text=True, timeout=SCHEMATHESIS_SECONDS * 2 + 120, cwd=tmp_path,
                          env=os.environ | {"SCHEMATHESIS_HOOKS": str(pathlib.Path(__file__).parent / "schemathesis_hooks.py")})
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert service.process.poll() is None
