"""Writes a small convolutional network and two stand-ins for its int8 variant (run in the environment of ./dev quantize):

    tiny_network.py FOLDER    tiny.onnx; same.xml, whose answers are those of tiny.onnx; other.xml, whose answers are not

The stand-ins compute in floats: what happens to a variant once it exists does not depend on the processor's integers.
"""
import pathlib
import sys

import numpy
import openvino

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "inference" / "tools"))
import onnx_writer  # noqa: E402: found through the path above

CHANNELS = (3, 16, 16, 24, 24, 32)
CLASSES = 10


def network(sign):
    random = numpy.random.default_rng(1)

    def weights(*shape):
        return (random.standard_normal(shape) * (2 / numpy.prod(shape[1:])) ** 0.5).astype("float32")
    graph = onnx_writer.Graph("tiny")
    last = "image"
    for layer, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        graph.weight(f"weight{layer}", weights(outputs, inputs, 3, 3))
        graph.weight(f"bias{layer}", 0.1 * weights(outputs, 1).ravel())
        graph.node("Conv", [last, f"weight{layer}", f"bias{layer}"], f"conv{layer}", kernel_shape=[3, 3], strides=[2, 2],
                   pads=[1, 1, 1, 1], dilations=[1, 1], group=1)
        graph.node("Relu", [f"conv{layer}"], f"relu{layer}")
        last = f"relu{layer}"
    graph.weight("last", sign * weights(CLASSES, CHANNELS[-1]))
    graph.weight("last.bias", numpy.zeros(CLASSES, "float32"))
    graph.node("GlobalAveragePool", [last], "pooled")
    graph.node("Flatten", ["pooled"], "features", axis=1)
    graph.node("Gemm", ["features", "last", "last.bias"], "logits", transB=1)
    return graph.model("image", [1, 3, 224, 224], "logits", [1, CLASSES])


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, sign in (("tiny", 1), ("other", -1)):
        (folder / f"{name}.onnx").write_bytes(network(sign))
    for name, source in (("same", "tiny"), ("other", "other")):
        openvino.save_model(openvino.convert_model(folder / f"{source}.onnx"), folder / f"{name}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
