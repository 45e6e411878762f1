"""The benchmarks' model that costs nearly nothing, for tests in which a classification must not count."""
import struct
import sys

import imgrec

sys.path.insert(0, str(imgrec.ROOT / "benchmarks"))
import run as benchmarks  # noqa: E402

NAME = "quick"
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}  # its labels


def picture(colour, side=8):
    """A BMP file of one colour, which the model recognises."""
    pixels = bytes(reversed(COLOURS[colour])) * side * side
    return (b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) +
            struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + pixels)


def install(folder):
    """Installs it in the folder of models."""
    model, labels = benchmarks.quick_model(folder)
    done = imgrec.run("model", "import", model, "--name", NAME, "--profile", "imagenet", "--labels", labels, "--model-dir", folder)
    assert done.returncode == 0, done.stderr
