#!/usr/bin/env python3
"""The int8 variant of an installed model, calibrated with photos (./dev quantize MODEL --images DIR).

    quantize.py MODEL --images DIR --imgrec BINARY [--model-dir DIR] [--agreement-min 0.98]

Runs in an environment with the packages of quantize-requirements.txt beside it. Half of the photos calibrate the network in
several ways; the other half is held out, chooses between them, and measures how far the answers are those in f32. imgrec
itself decodes and resizes the photos, measures the final figures, and publishes the variant or refuses it: below the bound
the model stays as it was.
"""
import argparse
import contextlib
import hashlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile

PHOTOS_MIN = 32            # with 8, 14 of 100 answers were lost; with 32 or more, 0 to 3
CALIBRATION_PHOTOS_MAX = 256
HELD_OUT_PHOTOS_MAX = 512


def stop(text):
    sys.exit(f"quantize: {text}")


def say(text):
    print(text, flush=True)


def imgrec(arguments, *words):
    """One command of the program; its result."""
    places = ["--model-dir", arguments.model_dir] if arguments.model_dir else []
    return subprocess.run([arguments.imgrec, "model", *map(str, words), *places], stdout=subprocess.PIPE, text=True, check=False)


def require_integers(arguments):
    """Ends before anything is computed where this processor's int8 says nothing of the int8 that will be used."""
    done = subprocess.run([arguments.imgrec, "version", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)  # it has said why
    program = json.loads(done.stdout)
    if not program["openvino"]:
        stop("this build has no OpenVINO, which int8 needs: `./dev setup` fetches it and builds again.")
    if program["arithmetic"]["int8"] == "saturating":
        stop("this processor cannot measure int8: it has neither VNNI nor AMX, so sums of 8-bit products saturate in 16 bits, "
             "answers differ from those of processors that have them, and little time is gained. Nothing was changed. Use f32 on "
             "this processor (imgrec does so by itself), and quantize on one like those that will use the variant: Intel since "
             "Cascade Lake, AMD since Zen 4 (on AWS for example c6i, m6i, c7i, c7a).")


def write_tensors(arguments, path):
    """Has imgrec decode and resize the photos. Returns what it says about the model, and the readable photos in order."""
    done = imgrec(arguments, "tensors", arguments.model, "--images", arguments.images, "--output", path)
    try:
        description = json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.exit(done.returncode or 1)  # it has said why
    for image in description["images"]:
        if "error" in image:
            say(f"left out: {image['file']}: {image['error']}")
    return description, [pathlib.Path(image["file"]) for image in description["images"] if "error" not in image]


def split(photos):
    """Two lists of positions in `photos`, for calibration and held out, by the photos' content: the same photos are always
    divided in the same way, whatever they are called, and a copy of a photo is never on both sides."""
    position_of = {}
    for position, photo in enumerate(photos):
        position_of.setdefault(hashlib.sha256(photo.read_bytes()).hexdigest(), position)
    order = [position_of[digest] for digest in sorted(position_of)]
    return order[0::2][:CALIBRATION_PHOTOS_MAX], order[1::2][:HELD_OUT_PHOTOS_MAX], len(order)


def link(photos, folder):
    """A folder with these photos, for imgrec to measure on."""
    folder.mkdir()
    for number, photo in enumerate(photos):
        (folder / f"{number:04}-{photo.name}").symlink_to(photo.resolve())
    return folder


def publish(arguments, work, made_by):
    done = imgrec(arguments, "add-variant", arguments.model, "--precision", "int8", "--weights", work / "int8.xml",
                  "--images", work / "held-out", "--agreement-min", arguments.agreement_min, "--made-by", made_by)
    print(done.stdout, end="", flush=True)
    return done.returncode


def quantize(arguments, work):
    require_integers(arguments)
    description, photos = write_tensors(arguments, work / "photos.npy")
    for_calibration, held_out, different = split(photos)
    if different < PHOTOS_MIN:
        stop(f"there are {different} different readable photos in {arguments.images}; at least {PHOTOS_MIN} are needed, of the "
             "kind that the model will see.")
    say(f"{arguments.model}: {len(for_calibration)} photos to calibrate with, {len(held_out)} held out")
    import calibration
    import numpy
    tensors = numpy.load(work / "photos.npy", mmap_mode="r")
    chosen = calibration.choose(description["weights"], calibration.Photos(tensors[for_calibration], tensors[held_out]),
                                description["output"] == "logits", arguments.agreement_min, say)
    calibration.save(chosen.model, work / "int8.xml")
    link([photos[position] for position in held_out], work / "held-out")
    return publish(arguments, work, f"{calibration.versions()}: {chosen.calibration}; {len(for_calibration)} photos")


def fraction(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 to 1")
    return value


def main():
    parser = argparse.ArgumentParser(prog="./dev quantize", description=__doc__.split("\n")[0])
    parser.add_argument("model", metavar="MODEL", help="an installed model (imgrec model list)")
    parser.add_argument("--images", type=pathlib.Path, required=True, metavar="DIR",
                        help=f"{PHOTOS_MIN} photos or more, of the kind that the model will see; 128 are a good number")
    parser.add_argument("--agreement-min", type=fraction, default=0.98, metavar="FRACTION",
                        help="held-out photos with the same best label as in f32, at least (%(default)s)")
    parser.add_argument("--model-dir", metavar="DIR", help="the folder of models, if not the default")
    parser.add_argument("--imgrec", default="build/release/imgrec", metavar="BINARY", help="the program (%(default)s)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder below is removed
    with tempfile.TemporaryDirectory(prefix="imgrec-quantize-") as work, contextlib.suppress(BrokenPipeError):
        sys.exit(quantize(arguments, pathlib.Path(work)))


if __name__ == "__main__":
    main()
