"""Rounding of weights on a small network, for quantize_test.py: runs in the environment of ./dev quantize, which has openvino and
nncf. Prints one JSON object."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "inference" / "tools"))

import calibration  # noqa: E402: found through the path above
import numpy  # noqa: E402
import openvino  # noqa: E402
import rounding  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

calibration.nncf.set_log_level(40)
RANDOM = numpy.random.default_rng(7)
MIXTURE = RANDOM.normal(size=(8, 3))  # eight channels of three things


def constant(*shape):
    return ops.constant(RANDOM.normal(size=shape).astype(numpy.float32))


def network():
    """A convolution with steps and padding, one with groups, a matrix product: the layers that there are."""
    image = ops.parameter([1, 8, 20, 20], numpy.float32)
    node = ops.convolution(image, constant(32, 8, 3, 3), [2, 2], [1, 1], [1, 1], [1, 1])
    node = ops.relu(ops.add(node, constant(1, 32, 1, 1)))
    node = ops.group_convolution(node, constant(8, 4, 4, 3, 3), [1, 1], [0, 0], [0, 0], [1, 1])
    node = ops.relu(ops.add(node, constant(1, 32, 1, 1)))
    node = ops.reshape(node, ops.constant([1, -1]), False)
    node = ops.matmul(node, constant(10, 32 * 64), False, True)
    return openvino.Model([ops.add(node, constant(1, 10))], [image])


def images(count):
    """Smooth ones, as photos are: neighbours and channels tell much about each other."""
    rough = RANDOM.normal(size=(count, 3, 24, 24))
    smooth = sum(rough[:, :, row:row + 20, column:column + 20] for row in range(5) for column in range(5)) / 5
    return numpy.einsum("oc,ncyx->noyx", MIXTURE, smooth).astype(numpy.float32)


def integers(model):
    return [numpy.array(node.get_data()) for node in model.get_ordered_ops()
            if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.i8]


def output_error(layer, weights, unseen):
    """Of a layer's outputs with these weights, on photos not calibrated with: root of the mean square, relative."""
    def power(matrix):
        return numpy.einsum("goi,gij,goj->", matrix, unseen.moments, matrix)
    return float(numpy.sqrt(power(weights - layer.weights) / power(layer.weights)))


def main():
    everywhere = calibration.Calibration("min-max", first=0, last=0)
    model, photos = network(), images(64)
    unseen = rounding.watch(model, images(64))
    quantized = calibration.quantize(model, photos, everywhere)
    nearest = integers(quantized)
    weights = rounding.Rounding(model, photos)
    weights.apply(quantized)
    layers = []
    for ((name, steps), whole), old, new in zip(weights.known.items(), nearest, integers(quantized)):
        layer = weights.layers[name]
        steps = numpy.frombuffer(steps).reshape(*whole.shape[:2], 1)
        layers.append({"before": output_error(layer, numpy.round(layer.weights / steps) * steps, unseen[name]),
                       "after": output_error(layer, whole * steps, unseen[name]), "largest": int(abs(new.astype(int)).max()),
                       "furthest": int(abs(old.astype(int) - new).max()), "is_in": bool((new.reshape(whole.shape) == whole).all())})
    print(json.dumps(layers))


if __name__ == "__main__":
    main()
