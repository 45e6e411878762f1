"""client_triton.py URL MODEL PHOTO…: what tritonclient is told, in binary (its default) and in JSON."""
import base64
import json
import pathlib
import sys

import numpy
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

url, model, photos = sys.argv[1].removeprefix("http://"), sys.argv[2], [pathlib.Path(path).read_bytes() for path in sys.argv[3:]]
client = triton.InferenceServerClient(url, network_timeout=100)


def input_of(name, values, datatype, **more):
    tensor = triton.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, **more)
    return tensor


def error_of(name, tensor):
    try:
        return str(client.infer(name, [tensor]))
    except InferenceServerException as error:
        return error.message()


def text(values):
    return [[value.decode() for value in row] for row in values]


images = input_of("image", numpy.array(photos, dtype=object), "BYTES")
answer = client.infer(model, [images])
classified = client.infer(model, [images], outputs=[triton.InferRequestedOutput("scores", class_count=3)])
in_json = input_of("image", numpy.array([base64.b64encode(photo) for photo in photos], dtype=object), "BYTES", binary_data=False)
json_answer = client.infer(model, [in_json], outputs=[triton.InferRequestedOutput("labels", binary_data=False)])
grey = client.infer(model, [input_of("tensor", numpy.zeros((2, 3, 224, 224), dtype=numpy.float32), "FP32")])
print(json.dumps({
    "live": client.is_server_live(), "ready": client.is_server_ready(), "model_ready": client.is_model_ready(model),
    "other_ready": client.is_model_ready("another"), "metadata": client.get_model_metadata(model), "server": client.get_server_metadata(),
    "labels": text(answer.as_numpy("labels")), "indices": answer.as_numpy("indices").tolist(), "scores": answer.as_numpy("scores").tolist(),
    "classification": text(classified.as_numpy("scores")),
    "json_labels": [row[0] if isinstance(row[0], str) else row[0].decode() for row in json_answer.as_numpy("labels")],
    "tensor_shape": list(grey.as_numpy("scores").shape), "tensor_scores": grey.as_numpy("scores").tolist(),
    "wrong_size": error_of(model, input_of("tensor", numpy.zeros((1, 3, 8, 8), dtype=numpy.float32), "FP32")),
    "wrong_model": error_of("another", images),
    "no_image": error_of(model, input_of("image", numpy.array([b"no image"], dtype=object), "BYTES")),
}))
