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
from nncf.quantization.range_estimator import RangeEstimatorParametersSet  # noqa: E402

PRESETS = {"performance": nncf.QuantizationPreset.PERFORMANCE, "mixed": nncf.QuantizationPreset.MIXED}
RANGES = {"min-max": RangeEstimatorParametersSet.MINMAX, "histogram": RangeEstimatorParametersSet.HISTOGRAM}
SPEED_RUNS = 40
SAME_ERROR = 1.15  # below that, which of two score errors is lower is a matter of the photos
SAME_SPEED = 1.05  # below that, which is quicker is a matter of the moment


@dataclasses.dataclass(frozen=True)
class Calibration:
    """SmoothQuant is not among them: it changes matrix products of transformers, and nothing in convolutions."""
    preset: str = "performance"
    bias_correction: str = "accurate"
    ranges: str = "min-max"
    skip: str = "first"  # the layers that stay in floats: "first", "first and last" or ""

    def __str__(self):
        text = f"{self.preset} preset, {self.bias_correction} bias correction, {self.ranges} ranges"
        return f"{text}, {self.skip} layer in floats" if self.skip else text


# The first layer alone makes half of the error: its inputs are signed and its few weights count most.
CALIBRATIONS = (Calibration(), Calibration(ranges="histogram"), Calibration(bias_correction="fast"),
                Calibration(preset="mixed"), Calibration(skip="first and last"), Calibration(skip=""))


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


def layers_to_skip(model, which):
    """Names of the first convolution and of the last layer with weights, as far as they are asked for."""
    layers = [node.get_friendly_name() for node in model.get_ordered_ops()
              if node.get_type_name() in ("Convolution", "GroupConvolution", "MatMul")]
    return [layers[0]] * ("first" in which) + [layers[-1]] * ("last" in which)


def quantize(model, tensors, calibration):
    advanced = AdvancedQuantizationParameters(
        activations_range_estimator_params=RANGES[calibration.ranges],
        # Without VNNI (AVX2, the first AVX-512) sums of products overflow where inputs are signed, which is in the first
        # layer. If that one is of eight bits at all, its weights get seven: answers are the same on every processor.
        overflow_fix=OverflowFix.DISABLE if "first" in calibration.skip else OverflowFix.FIRST_LAYER)
    ignored = nncf.IgnoredScope(names=layers_to_skip(model, calibration.skip)) if calibration.skip else None
    return nncf.quantize(model, nncf.Dataset([tensor[None] for tensor in tensors]), preset=PRESETS[calibration.preset],
                         subset_size=len(tensors), fast_bias_correction=calibration.bias_correction == "fast",
                         ignored_scope=ignored, advanced_parameters=advanced)


class Network:
    """One image at a time on one core, as imgrec runs it: what is not of eight bits in bf16 on AMX, else in f32."""

    def __init__(self, model, exact=False):
        has_amx = "amx_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
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
    measured = []
    for number, way in enumerate(CALIBRATIONS, 1):
        measured.append(measure(way, quantize(model, calibration, way), held_out, wanted, are_logits))
        say(f"{number} of {len(CALIBRATIONS)}: {measured[-1]}")
    chosen = best_of(measured, agreement_min)
    say(f"best: {chosen.calibration}")
    return chosen


def save(model, path):
    openvino.save_model(model, path, compress_to_fp16=False)


def versions():
    return f"nncf {nncf.__version__}, openvino {openvino.__version__.split('-')[0]}"
