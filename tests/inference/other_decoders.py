"""What Pillow and OpenCV make of images, for other_decoders_test.py, which runs this in the Python that has them. It reads requests,
each a line of JSON: {"what": …, "arguments": […], "files": […]}, and answers each with a line: a list with an answer for each file.

    pixels              Pillow's pixels
    compare OUR_INPUTS  compares the networks' inputs in the file, in the order of the files, with Pillow's
    opencv FOLDER       as pixels, but OpenCV's; our pixels of the file with number 7 may be in FOLDER/7
    make FOLDER         writes images of many kinds and odd sizes there
    make-large FOLDER   writes photos of 12 megapixels
"""
import hashlib
import json
import pathlib
import sys
import warnings

import numpy
from PIL import Image, ImageOps

MEAN, DEVIATION = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])
SIDE, CROP = 256, 224


def upright(file):
    """As the reference answers were computed, but for grey samples of 16 bits: Pillow's convert() cuts those above 255."""
    image = Image.open(file)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((numpy.asarray(image) >> 8).astype("uint8"))
    return image.convert("RGB")


def network_input(image):
    """torchvision's Resize(256), CenterCrop(224), ToTensor and Normalize, with the resize and the crop in one step, so
    that sides of 1 x 5000 pixels do not need a picture of 1,280,000 x 256."""
    width, height = image.size
    longer = SIDE * max(width, height) // min(width, height)
    wide, high = (SIDE, longer) if width <= height else (longer, SIDE)
    left, top = round((wide - CROP) / 2), round((high - CROP) / 2)
    if wide * high <= 4_000_000:
        image = image.resize((wide, high), Image.BILINEAR).crop((left, top, left + CROP, top + CROP))
    else:
        box = (left * width / wide, top * height / high, (left + CROP) * width / wide, (top + CROP) * height / high)
        image = image.resize((CROP, CROP), Image.BILINEAR, box=box)
    return (numpy.asarray(image).astype("float32") / 255 - MEAN) / DEVIATION


def pixels(file):
    image = upright(file)
    return {"ok": [*image.size, hashlib.sha256(image.tobytes()).hexdigest()]}


def compare(file, ours):
    """Differences in steps of a colour (1/255)."""
    theirs = network_input(upright(file))
    steps = abs(ours.reshape(3, CROP, CROP).transpose(1, 2, 0) - theirs) * DEVIATION * 255
    return {"mean": float(steps.mean()), "max": float(steps.max())}


def opencv(file, ours):
    """The largest difference to the pixels in the file `ours` too, if that exists and the sizes are the same."""
    import cv2  # slow to load

    image = cv2.imdecode(numpy.fromfile(file, "uint8"), cv2.IMREAD_COLOR_RGB)
    if image is None:
        return {"refused": "no reason given"}
    answer = {"ok": [*image.shape[1::-1], hashlib.sha256(image.tobytes()).hexdigest()]}
    if ours.exists() and ours.stat().st_size == image.size:
        answer["max"] = int(abs(numpy.fromfile(ours, "uint8").astype(int) - image.ravel()).max())
    return answer


def make(folder):
    """Lossy kinds and others, in sizes that are no multiples of anything; the sides' names are in the files' names."""
    rng = numpy.random.default_rng(7)
    grid = numpy.add.outer(numpy.arange(5000), numpy.arange(5000)) % 251
    for width, height in ((1, 1), (1, 5000), (5000, 1), (2, 3), (17, 33), (333, 222), (257, 256), (640, 480)):
        smooth = numpy.stack([grid[:height, :width], grid[:height, :width][::-1], grid[:height, :width] // 2], axis=2)
        image = Image.fromarray((smooth + rng.integers(0, 4, smooth.shape)).astype("uint8"))
        grey, name = image.convert("L"), folder / f"{width}x{height}"
        for kind, options in (("420", {"subsampling": 2}), ("422", {"subsampling": 1}), ("444", {"subsampling": 0}),
                              ("progressive", {"progressive": True}), ("optimised", {"optimize": True, "quality": 97}),
                              ("poor", {"quality": 10}), ("restart", {"restart_marker_blocks": 3})):
            image.save(f"{name}-{kind}.jpg", **options)
        for kind, other in (("grey", grey), ("cmyk", image.convert("CMYK"))):
            other.save(f"{name}-{kind}.jpg")
            other.save(f"{name}-{kind}-progressive.jpg", progressive=True)
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.save(f"{name}-turned-{orientation}.jpg", exif=exif)
        alpha = image.copy()
        alpha.putalpha(grey)
        for kind, other in (("rgb", image), ("grey", grey), ("alpha", alpha), ("grey-alpha", alpha.convert("LA")),
                            ("palette", image.quantize(100)), ("bits", grey.convert("1")),
                            ("16", Image.fromarray(numpy.asarray(grey).astype("uint16") * 257))):
            other.save(f"{name}-{kind}.png")
        image.save(f"{name}.webp", lossless=True)
        image.save(f"{name}-lossy.webp", quality=80)
        image.save(f"{name}.bmp")
        image.quantize(60).save(f"{name}.gif")
        image.save(f"{name}.tif", compression="tiff_lzw")
        image.save(f"{name}-deflate.tif", compression="tiff_adobe_deflate")


def make_large(folder):
    """12 megapixels with edges of all directions, textures and grain, as cameras store them."""
    rng = numpy.random.default_rng(9)
    y, x = numpy.ogrid[:3000, :4000]
    y, x = y.astype("float32"), x.astype("float32")
    rings = numpy.sin(numpy.hypot(x - 2000, y - 1500) ** 1.5 / 900)
    checks = ((x // 190 + y // 170) % 2) * 2 - 1
    leaves = numpy.sin(x / 7) * numpy.sin(y / 5 + x / 90)
    grain = numpy.tile(rng.normal(0, 4, (500, 500, 3)).astype("float32"), (6, 8, 1))
    scene = numpy.stack([128 + 60 * rings + 40 * checks, 128 + 90 * checks * (x > 2000) + 30 * leaves, 80 + y / 30 + 60 * leaves * rings], axis=2)
    image = Image.fromarray(numpy.clip(scene + grain, 0, 255).astype("uint8"))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "large-420.jpg", quality=90)
    image.save(folder / "large-444.jpg", quality=90, subsampling=0)
    image.save(folder / "large-progressive.jpg", quality=90, progressive=True)
    image.save(folder / "large-turned.jpg", quality=90, exif=exif)
    image.convert("L").save(folder / "large-grey.jpg", quality=90)


def answers(what, arguments, files):
    if what.startswith("make"):
        (make if what == "make" else make_large)(pathlib.Path(*arguments))
        return
    if what == "compare":
        inputs = numpy.fromfile(*arguments, "float32").reshape(-1, 3 * CROP * CROP)
    answer_of = {"pixels": lambda _, file: pixels(file),
                 "compare": lambda number, file: compare(file, inputs[number]),
                 "opencv": lambda number, file: opencv(file, pathlib.Path(*arguments, str(number)))}[what]
    for number, file in enumerate(files):
        try:
            yield answer_of(number, file)
        except Exception as error:  # whatever they throw, they refuse the file
            yield {"refused": f"{type(error).__name__}: {error}"}


def main():
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps([*answers(**json.loads(line))]), flush=True)


if __name__ == "__main__":
    main()
