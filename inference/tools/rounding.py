"""Rounds a network's weights to eight bits so that the layers' outputs change least, instead of each weight to its nearest.

A layer's inputs are correlated: the error that rounding one weight makes can be taken back in part by the weights not rounded
yet. Method: Frantar, Ashkboos, Hoefler, Alistarh: GPTQ, https://arxiv.org/abs/2210.17323 (there for four bits and transformers;
in convolutions of eight bits it takes away half to four fifths of the rounding error).
"""
import dataclasses

import numpy
import openvino
import scipy.linalg.lapack

PHOTOS_AT_ONCE = 16
POSITIONS_MAX = 64   # of a photo, for each layer: neighbours tell little more
# Added to each second moment, as a part of their mean: keeps what few photos show by chance from being made use of. The more
# inputs there are for each row seen, the more is by chance (measured on photos not calibrated with: with 2,300 inputs and 8,000
# rows 0.1 is best, with 500 inputs and 100 rows 1).
DAMPING = 0.01
DAMPING_OF_CHANCE = 0.3
COLUMNS_AT_ONCE = 128
LAYERS = ("Convolution", "GroupConvolution", "MatMul")


@dataclasses.dataclass
class Layer:
    """What rounding a layer's weights needs. Groups: 1 but for grouped convolutions. Inputs: values that one output is made
    of, channels by kernel; for a matrix product the columns."""
    weights: numpy.ndarray  # [groups, outputs of a group, inputs]
    rows: int               # inputs seen, each of all photos
    mean: numpy.ndarray     # [groups, inputs]
    moments: numpy.ndarray  # [groups, inputs, inputs]: mean of input times input


def node_of(model, name):
    return next(node for node in model.get_ordered_ops() if node.get_friendly_name() == name)


def constant_at(node, index):
    source = node.input_value(index).get_node()
    return source if source.get_type_name() == "Constant" else None


def layers_of(model):
    """The layers with constant weights that are laid out by outputs first."""
    found = []
    for node in model.get_ordered_ops():
        if node.get_type_name() not in LAYERS or constant_at(node, 1) is None:
            continue
        attributes = node.get_attributes()
        by_rows = node.get_type_name() != "MatMul" or (attributes["transpose_b"] and not attributes["transpose_a"])
        if by_rows and set(attributes.get("dilations", [1])) == {1}:
            found.append(node)
    return found


def grouped(node, weights):
    """[groups, outputs of a group, inputs] of a layer's weights."""
    groups = weights.shape[0] if node.get_type_name() == "GroupConvolution" else 1
    outputs = weights.shape[1] if node.get_type_name() == "GroupConvolution" else weights.shape[0]
    return weights.reshape(groups, outputs, -1)


def inputs_of(node, values, random):
    """Rows of a layer's inputs at some of the positions that its kernel takes: [groups, positions, inputs]."""
    if node.get_type_name() == "MatMul":
        return values.reshape(1, -1, values.shape[-1])
    attributes = node.get_attributes()
    kernel = tuple(node.input_value(1).get_shape()[-2:])
    padding = list(zip(attributes["pads_begin"], attributes["pads_end"]))
    padded = numpy.pad(values[0], [(0, 0), *padding])
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))  # [channels, rows, columns, *kernel]
    windows = windows[:, ::attributes["strides"][0], ::attributes["strides"][1]]
    height, width = windows.shape[1:3]
    positions = random.choice(height * width, min(height * width, POSITIONS_MAX), replace=False)
    taken = windows[:, positions // width, positions % width]  # [channels, positions, *kernel]
    groups = node.input_value(1).get_shape()[0] if node.get_type_name() == "GroupConvolution" else 1
    taken = taken.reshape(groups, -1, len(positions), kernel[0] * kernel[1])
    return taken.transpose(0, 2, 1, 3).reshape(groups, len(positions), -1)


def inputs_watched(model, nodes):
    """A function that runs one photo and returns the input of each of these layers."""
    model = model.clone()
    sources = [node_of(model, node.get_friendly_name()).input_value(0) for node in nodes]
    keys = [(source.get_node().get_friendly_name(), source.get_index()) for source in sources]
    number = {key: len(model.outputs) + offset for offset, key in enumerate(dict.fromkeys(keys))}
    model.add_outputs([sources[keys.index(key)] for key in number])
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(tensor):
        outputs = compiled(tensor[None])
        return [outputs[number[key]].copy() for key in keys]
    return run


def watch(model, tensors):
    """{layer's name: Layer} of the network in f32, as these photos go through it."""
    nodes = layers_of(model)
    run = inputs_watched(model, nodes)
    random = numpy.random.default_rng(0)
    sums = [[0, 0, 0] for _ in nodes]  # rows, sum of inputs, sum of products
    for begin in range(0, len(tensors), PHOTOS_AT_ONCE):
        photos = [run(tensor) for tensor in tensors[begin:begin + PHOTOS_AT_ONCE]]
        for number, node in enumerate(nodes):
            rows = numpy.concatenate([inputs_of(node, photo[number], random) for photo in photos], axis=1)
            so_far = sums[number]
            so_far[0] += rows.shape[1]
            so_far[1] = so_far[1] + rows.sum(axis=1, dtype=numpy.float64)
            so_far[2] = so_far[2] + rows.transpose(0, 2, 1) @ rows
    return {node.get_friendly_name(): Layer(grouped(node, constant_at(node, 1).get_data()), count, total / count, products / count)
            for node, (count, total, products) in zip(nodes, sums)}


def factor_of_inverse(matrix):
    """The upper triangular U with UᵀU = the inverse of a positive definite matrix, in a third of the time of inverting it."""
    backwards = numpy.linalg.cholesky(matrix[::-1, ::-1])
    upper, failed = scipy.linalg.lapack.dtrtri(backwards[::-1, ::-1], lower=0)
    if failed:
        raise ArithmeticError("a layer's second moments have no inverse")
    return upper


def rounded(layer, steps):
    """The layer's weights as whole numbers of `steps` ([groups, outputs, 1]), within what its largest weight needs."""
    largest = numpy.round(abs(layer.weights / steps).max())
    moments = layer.moments.astype(numpy.float64)
    diagonal = numpy.einsum("gii->gi", moments)
    never = diagonal == 0  # these inputs were 0 on all photos: their weights are rounded to the nearest
    damping = DAMPING + DAMPING_OF_CHANCE * moments.shape[1] / layer.rows
    diagonal += damping * diagonal.mean(axis=1, keepdims=True) + never
    # Those that matter most first, while there are many others to take their errors back.
    order = numpy.argsort(-diagonal, axis=1, kind="stable")
    weights = numpy.take_along_axis(layer.weights.astype(numpy.float64), order[:, None], axis=2)
    moments = numpy.take_along_axis(numpy.take_along_axis(moments, order[:, :, None], axis=1), order[:, None], axis=2)
    upper = numpy.stack([factor_of_inverse(one) for one in moments])
    whole = numpy.empty_like(weights)
    count = weights.shape[2]
    for begin in range(0, count, COLUMNS_AT_ONCE):
        end = min(begin + COLUMNS_AT_ONCE, count)
        block, factors = weights[:, :, begin:end], upper[:, begin:end, begin:end]
        errors = numpy.empty_like(block)
        for column in range(end - begin):
            value = block[:, :, column]
            near = numpy.clip(numpy.round(value / steps[:, :, 0]), -largest, largest)
            whole[:, :, begin + column] = near
            errors[:, :, column] = (value - near * steps[:, :, 0]) / factors[:, column, column, None]
            block[:, :, column:] -= errors[:, :, column, None] * factors[:, column, None, column:]
        weights[:, :, end:] -= errors @ upper[:, begin:end, end:]
    in_place = numpy.argsort(order, axis=1)
    return numpy.take_along_axis(whole, in_place[:, None], axis=2)


class Rounding:
    """Layers are rounded once for all calibrations that give them the same steps."""

    def __init__(self, model, tensors):
        self.layers = watch(model, tensors)
        self.known = {}

    def apply(self, model):
        """Rounds the weights of a network quantised by nncf anew, where they are 8-bit integers times steps, and moves the
        biases by what that changes in the mean."""
        for node in model.get_ordered_ops():
            name = node.get_friendly_name()
            scaled = node.input_value(1).get_node() if node.get_type_name() in LAYERS else None
            if name not in self.layers or scaled.get_type_name() != "Multiply":
                continue
            integers, steps = scaled.input_value(0).get_node(), constant_at(scaled, 1)
            if integers.get_type_name() != "Convert" or constant_at(integers, 0) is None or steps is None:
                continue
            self.apply_to(node, integers, steps.get_data().astype(numpy.float64))
        model.validate_nodes_and_infer_types()
        return model

    def apply_to(self, node, integers, steps):
        name = node.get_friendly_name()
        layer = self.layers[name]
        old = constant_at(integers, 0).get_data()
        steps = grouped(node, numpy.broadcast_to(steps, old.shape))[:, :, :1]
        before = grouped(node, old) * steps
        if (abs(before - layer.weights) > 0.51 * steps).any():
            return  # these integers stand for something else: nncf changed the layer before it rounded
        key = (name, steps.tobytes())
        if key not in self.known:
            self.known[key] = rounded(layer, steps)
        whole = self.known[key]
        integers.input(0).replace_source_output(openvino.op.Constant(whole.astype(old.dtype).reshape(old.shape)).output(0))
        added = [target.get_node() for target in node.output(0).get_target_inputs()]
        bias = constant_at(added[0], 1) if len(added) == 1 and added[0].get_type_name() == "Add" else None
        if bias is None:
            return
        change = numpy.einsum("goi,gi->go", layer.weights - whole * steps, layer.mean).reshape(-1)
        shape = [1, -1] + [1] * (len(bias.get_output_shape(0)) - 2)
        if bias.get_data().size == change.size:
            moved = bias.get_data() + change.reshape(shape if len(bias.get_output_shape(0)) > 1 else -1)
            added[0].input(1).replace_source_output(openvino.op.Constant(moved.astype(numpy.float32)).output(0))
