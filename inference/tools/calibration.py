"""Ways to calibrate a network for int8, and which of them answers most like the network in f32.

NNCF, OpenVINO backend: https://docs.openvino.ai (basic quantization flow). Imported by quantize.py once it is known that
there is something to calibrate with: nncf takes a second to load.
"""
import dataclasses
import os
import pathlib
import time

os.environ.setdefault("NNCF_CI", "1")  # the only switch by which nncf sends nothing to its makers about this run

import nncf  # noqa: E402: after the switch
import numpy  # noqa: E402
import openvino  # noqa: E402
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix  # noqa: E402
from nncf.quantization.range_estimator import (  # noqa: E402
    AggregatorType, RangeEstimatorParameters, RangeEstimatorParametersSet, StatisticsCollectorParameters, StatisticsType)

import rounding  # noqa: E402

# The largest of all photos, without the one value in 100,000 that would make the steps of all others larger. (The mean over
# photos of each one's largest value cuts off too much: it doubles the error.)
NEARLY_ALL = StatisticsCollectorParameters(statistics_type=StatisticsType.QUANTILE, aggregator_type=AggregatorType.MAX,
                                           quantile_outlier_prob=1e-5)
RANGES = {"quantile": RangeEstimatorParameters(min=NEARLY_ALL, max=NEARLY_ALL),
          "min-max": RangeEstimatorParametersSet.MINMAX, "histogram": RangeEstimatorParametersSet.HISTOGRAM}
SPEED_RUNS = 40
SAME_ERROR = 1.15  # below that, which of two score errors is lower is a matter of the photos
SAME_SPEED = 1.1   # below that, which is quicker is a matter of the moment (the same graph twice: up to 1.09)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """SmoothQuant is not among them: it changes matrix products of transformers, and nothing in convolutions. Neither is nncf's
    bias correction: what its rounding moves, rounding.py moves back. Sums of branches stay in floats: they cost no time."""
    ranges: str
    first: int  # so many of the first layers stay in floats
    last: int   # and of the last ones

    def __str__(self):
        return f"{self.ranges} ranges, {self.first} first and {self.last} last layers in floats"


# Inputs of the first layers are few and weigh most: in a ResNet-18 those of the first make half of the error, those of the
# second a third of the rest.
CALIBRATIONS = (Calibration("quantile", 2, 1), Calibration("quantile", 1, 0), Calibration("quantile", 0, 0),
                Calibration("min-max", 2, 1), Calibration("histogram", 2, 1))


@dataclasses.dataclass
class Measured:
    """A calibrated network beside f32, on photos it was not calibrated with."""
    calibration: Calibration
    model: openvino.Model
    top1: float          # of the held-out photos and their mirror images
    top1_photos: float   # of the held-out photos alone, as they will be published
    score_error: float
    milliseconds: float  # of one image on one core

    def __str__(self):
        return (f"{self.calibration}: same best label {100 * self.top1_photos:.1f} % ({100 * self.top1:.1f} % with mirror "
                f"images), score error {self.score_error:.4f}, {self.milliseconds:.2f} ms")


def mirrored(tensors):
    """The photos and their mirror images: a network that knows things by their looks sees twice as many."""
    return numpy.concatenate([tensors, tensors[..., ::-1]])


def left_in_floats(model, calibration):
    """Names of layers with weights, and of sums."""
    nodes = model.get_ordered_ops()
    layers = [node.get_friendly_name() for node in nodes if node.get_type_name() in rounding.LAYERS]
    sums = [node.get_friendly_name() for node in nodes
            if node.get_type_name() == "Add" and not any(rounding.constant_at(node, side) for side in (0, 1))]
    return layers[:calibration.first] + layers[len(layers) - calibration.last:] + sums


def quantize(model, tensors, calibration):
    advanced = AdvancedQuantizationParameters(
        activations_range_estimator_params=RANGES[calibration.ranges],
        disable_bias_correction=True,
        # Without VNNI (AVX2, the first AVX-512) sums of products overflow where inputs are signed, which is in the first
        # layer. If that one is of eight bits at all, its weights get seven: answers are the same on every processor.
        overflow_fix=OverflowFix.DISABLE if calibration.first else OverflowFix.FIRST_LAYER)
    names = left_in_floats(model, calibration)
    return nncf.quantize(model, nncf.Dataset([tensor[None] for tensor in tensors]),
                         preset=nncf.QuantizationPreset.PERFORMANCE, subset_size=len(tensors),
                         ignored_scope=nncf.IgnoredScope(names=names) if names else None, advanced_parameters=advanced)


class Network:
    """One image at a time on one core, as imgrec runs it: what is not of eight bits in bf16 on AMX, else in f32."""

    def __init__(self, model, exact=False):
        has_amx = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") and \
            "amx_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
                    "INFERENCE_PRECISION_HINT": "bf16" if has_amx and not exact else "f32"}
        self.request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(self, tensor):
        return next(iter(self.request.infer({0: tensor[None]}).values())).reshape(-1)

    def outputs(self, tensors):
        return numpy.stack([self.run(tensor).copy() for tensor in tensors])

    def milliseconds(self, tensor):
        """Of the processor's time, the least of many: what else the machine does only adds."""
        times = []
        for _ in range(SPEED_RUNS):
            begin = time.process_time_ns()
            self.run(tensor)
            times.append(time.process_time_ns() - begin)
        return min(times) / 1e6


def scores(outputs, are_logits):
    if not are_logits:
        return outputs
    powers = numpy.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def measure(calibration, model, photos, wanted, are_logits):
    """photos: the held-out ones, then their mirror images; wanted: f32's outputs for them."""
    network = Network(model)
    found = network.outputs(photos)
    best = wanted.argmax(axis=1)
    same = found.argmax(axis=1) == best
    rows = numpy.arange(len(best))
    errors = abs(scores(wanted, are_logits)[rows, best] - scores(found, are_logits)[rows, best])
    return Measured(calibration, model, float(same.mean()), float(same[: len(same) // 2].mean()), float(errors.mean()),
                    network.milliseconds(photos[0]))


def best_of(measured, agreement_min):
    """Those that reach the bound, before others; of these the ones whose scores are nearest to f32's; of these the
    quickest; of these the nearest one. Scores tell more than the number of best labels that are the same: every photo has
    its part in them."""
    good = [one for one in measured if one.top1_photos >= agreement_min] or measured
    least = min(one.score_error for one in good)
    good = [one for one in good if one.score_error <= SAME_ERROR * least]
    quickest = min(one.milliseconds for one in good)
    return min((one for one in good if one.milliseconds <= SAME_SPEED * quickest), key=lambda one: one.score_error)


@dataclasses.dataclass(frozen=True)
class Photos:
    calibration: numpy.ndarray  # float32, NCHW, as the network gets them
    held_out: numpy.ndarray


def choose(weights, photos, are_logits, agreement_min, say):
    """Calibrates the ONNX file in all ways and returns the best of them. say: a function for each line of progress."""
    nncf.set_log_level(40)  # errors
    # convert_model() folds constants as read_model() does not; without that nncf finds no biases to correct.
    model = openvino.convert_model(weights, input=[1, *photos.held_out.shape[1:]])
    held_out, calibration = mirrored(photos.held_out), mirrored(photos.calibration)
    wanted = Network(model, exact=True).outputs(held_out)
    weights_rounding = rounding.Rounding(model, calibration)
    measured = []
    for number, way in enumerate(CALIBRATIONS, 1):
        measured.append(measure(way, weights_rounding.apply(quantize(model, calibration, way)), held_out, wanted, are_logits))
        say(f"{number} of {len(CALIBRATIONS)}: {measured[-1]}")
    chosen = best_of(measured, agreement_min)
    say(f"best: {chosen.calibration}")
    return chosen


def save(model, path):
    openvino.save_model(model, path, compress_to_fp16=False)


def versions():
    return f"nncf {nncf.__version__}, openvino {openvino.__version__.split('-')[0]}"
