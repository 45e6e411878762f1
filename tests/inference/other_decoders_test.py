"""Decoding and resizing agree with Pillow, which is what the reference answers were computed with, and decoding with
OpenCV: on photos, on images of every kind in odd sizes that are made here, and on collections of damaged and unusual files.

Needs the packages of tests/requirements.txt: `./dev test` sets IMGREC_TEST_PYTHON to a Python that has them.
"""
import functools
import json
import os
import pathlib
import subprocess

import pytest

import imgrec

PROBE = imgrec.program("inference_probe")
OTHERS = pathlib.Path(__file__).with_name("other_decoders.py")
INPUT_BYTES = 3 * 224 * 224 * 4
FORMATS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"GIF8", b"II*\0", b"MM\0*")
STEP = 1e-4  # of a colour's 1/255: the arithmetic is the same, so only the last digits of the floats differ

# What is decoded differently, and why.
OTHER_PIXELS = {
    "exif_imagemagick_orientation.png": "its orientation is in compressed text, which is never unpacked",
    "tiff_16bit_RGBa.tiff": "its colours are multiplied by alpha, which Pillow divides by and we leave out",
    "tiff_16bit_RGB.tiff": "16-bit samples are rounded; Pillow cuts them off",
}
# What only Pillow refuses: the pixels are all there, what is wrong is elsewhere.
ONLY_PILLOW_REFUSES = {
    "TODO hpredict_cmyk.tiff": "a kind of TIFF that Pillow does not know",
    "empty_ancillary_chunks.png": "chunks that say nothing about pixels are empty",
    "chunk_no_fctl.png": "the animation is wrong, not its first frame",
    "png_decompression_dos.png": "the bomb is in text, which is never unpacked",
    "truncated_jpeg.jpg": "only the half of its end mark is missing",
    "truncated_end_chunk.png": "the same",
}
# What only we refuse: there are no half images and no guesses.
ONLY_WE_REFUSE = {
    "regression-palette-8.png": "a colour that is not in the palette", "small-palette-1.png": "", "small-palette-2.png": "",
    "small-palette-4.png": "", "small-palette-8.png": "", "test-palette-1.png": "", "test-palette-2.png": "",
    "test-palette-4.png": "", "test-palette-8.png": "", "pal8badindex.bmp": "the same in a BMP",
    "badcrc.png": "a wrong checksum of the pixels", "issue_2811.gif": "ends early",
    "badplanes.bmp": "30000 colour planes", "rletopdown.bmp": "forbidden by the format",
    "badrle.bmp": "a run leaves the image", "hopper_rle8_row_overflow.bmp": "a run leaves the image",
    "hopper_bad_exif.jpg": "1214 bytes in the middle of the pixels that mean nothing",
    "crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif": "rows of a fax that are too long",
    "crash-74d2a78403a5a59db1fb0a2b8735ac068a75f6e3.tif": "rows of a fax that are too long",
    "clusterfuzz-testcase-minimized-fuzzer_script_tiff-5026894169374720.tif": "a JPEG inside that ends early",
}

# Of these OpenCV shows the animation's first frame, we and Pillow the image for programs that show no animations.
ANIMATED = {"blend_op_over.png", "blend_op_over_near_transparent.png", "delay.png", "delay_round.png", "delay_short_max.png",
            "delay_zero_denom.png", "delay_zero_numer.png", "dispose_op_previous.png", "dispose_op_previous_region.png",
            "mode_16bit.png", "mode_grayscale.png", "mode_grayscale_alpha.png", "mode_palette_alpha.png", "num_plays.png",
            "num_plays_1.png", "sequence_fdat_fctl.png", "sequence_gap.png", "sequence_reorder.png",
            "sequence_reorder_chunk.png", "sequence_repeat.png", "sequence_repeat_chunk.png", "sequence_start.png",
            "syntax_num_frames_high.png", "syntax_num_frames_invalid.png"}
OPENCV_OTHER_PIXELS = {**dict.fromkeys(ANIMATED, "animated"),
                       **{f"hopper_orientation_{i}.webp": "OpenCV does not turn WebP upright" for i in range(2, 9)},
                       "tiff_16bit_RGBa.tiff": "as with Pillow"}
OPENCV_CMYK_MAX = 2  # of 255: it rounds CMYK in another way
ONLY_OPENCV_REFUSES = {
    "TODO hpredict_cmyk.tiff": "five samples a pixel",
    "empty_ancillary_chunks.png": "chunks that say nothing about pixels are empty",
    "chunk_no_fdat.png": "the animation is wrong, not the image before it",
    "syntax_num_frames_zero_default.png": "the animation is wrong, not the image before it",
    "test_extents_transparency.gif": "its count of frames",
    "huge_IDAT.png": "ends early, but only behind its last pixel",
    "truncated_jpeg.jpg": "the same",
    "truncated_end_chunk.png": "the same",
}
ONLY_OPENCV_TAKES = {**ONLY_WE_REFUSE, "badheadersize.bmp": "a header of no known length", "giant-image.jpg": "280 megapixels"}


LISTED = {*OTHER_PIXELS, *ONLY_PILLOW_REFUSES, *OPENCV_OTHER_PIXELS, *ONLY_OPENCV_REFUSES, *ONLY_OPENCV_TAKES}
LONG = bool(os.environ.get("IMGREC_TEST_LONG"))


def need_python():
    python = os.environ.get("IMGREC_TEST_PYTHON")
    if not python or not pathlib.Path(python).exists():
        strict = os.environ.get("IMGREC_REQUIRE_SHARED") == "1"
        (pytest.fail if strict else pytest.skip)("IMGREC_TEST_PYTHON (set by ./dev test) is not there")
    return python


@functools.cache
def helper():
    """Started once: what it loads takes most of a second."""
    return subprocess.Popen([need_python(), "-B", OTHERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def others(what, *arguments, files=()):
    """An answer for each file."""
    helper().stdin.write(json.dumps({"what": what, "arguments": [*map(str, arguments)], "files": [*map(str, files)]}) + "\n")
    helper().stdin.flush()
    line = helper().stdout.readline()
    assert line, f"{OTHERS.name} ended with {helper().wait()}: see what it wrote"
    answers = json.loads(line)
    assert len(answers) == len(files)
    return answers


def probe(*arguments):
    done = subprocess.run([PROBE, *arguments], capture_output=True, text=True, errors="replace", check=True)
    return done.stdout.splitlines()


def ours(files):
    """As others("pixels", …)."""
    answers = []
    for line in probe("decode", *files):
        word, *rest = line.split()
        answers.append({"ok": [int(rest[0]), int(rest[1]), rest[2]]} if word == "ok" else {"refused": line})
    assert len(answers) == len(files)
    return answers


def input_differences(files, tmp_path):
    """Of the networks' inputs, from the way that images take when they are served."""
    said = probe("input", "imagenet", "224", tmp_path / "inputs", *files)
    assert said == ["ok 224 224"] * len(files)
    assert (tmp_path / "inputs").stat().st_size == len(files) * INPUT_BYTES
    answers = others("compare", tmp_path / "inputs", files=files)
    assert not [answer for answer in answers if "refused" in answer]
    return answers


def expect_equal(files, tmp_path):
    for file, our, their in zip(files, ours(files), others("pixels", files=files), strict=True):
        assert our == their, file
    expect_inputs(files, tmp_path)


def expect_inputs(files, tmp_path):
    for file, difference in zip(files, input_differences(files, tmp_path), strict=True):
        assert difference["max"] < STEP, file


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    others("make", folder)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def photos():
    return [imgrec.shared("photos/test") / f"test_{i}.JPEG" for i in range(100)]


def test_photos(photos, tmp_path):
    expect_equal(photos, tmp_path)


def test_every_kind_in_odd_sizes(made, tmp_path):
    assert len(made) == 8 * 32
    expect_equal(made, tmp_path)


# Cut anywhere before its last pixels, a file is refused by both, or by us alone where Pillow's library fills up with grey.
def test_truncated(made, tmp_path):
    cut = []
    for file in made:
        if not file.name.startswith("333x222"):
            continue
        data = file.read_bytes()
        for part in (0.2, 0.6, 0.9):
            cut.append(tmp_path / f"{part}-{file.name}")
            cut[-1].write_bytes(data[:int(part * len(data))])
    for file, our, their in zip(cut, ours(cut), others("pixels", files=cut), strict=True):
        assert "refused" in our, file
        assert our["refused"].split(":")[0] in ("image_truncated", "image_corrupt"), (file, our)
        assert "refused" in their or file.suffix in (".gif", ".webp", ".bmp", ".tif"), (file, their)


@pytest.fixture(scope="module", params=["badimg-image-rs", "badimg-libpng", "badimg-pillow", "badimg-sharp", "exif-orientation",
                                        "wrong-type-mini"])
def collection(request, tmp_path_factory):
    archive = imgrec.shared(f"testdata/{request.param}.tar.xz")
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run(["tar", "-xJf", archive, "-C", folder], check=True)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "\n" not in str(file)]
    files = [file for file in files if file.read_bytes()[:4].startswith(FORMATS)]
    assert files
    if LONG or len(files) < 40:
        return files
    # Of a large collection those that are listed above, and every fourth of the others.
    listed = [file for file in files if file.name in LISTED]
    return listed + [file for file in files if file.name not in LISTED][::4]


def test_collections(collection, tmp_path):
    both = []
    for file, our, their in zip(collection, ours(collection), others("pixels", files=collection), strict=True):
        if "refused" in their:
            assert "refused" in our or file.name in ONLY_PILLOW_REFUSES, (file, their)
        elif "refused" in our:
            assert file.name in ONLY_WE_REFUSE, (file, our)
        elif file.name in OTHER_PIXELS:
            assert our["ok"][:2] == their["ok"][:2], file
        else:
            assert our == their, file
            both.append(file)
    expect_inputs(both, tmp_path)


def unlike_opencv(files, tmp_path):
    """(file, our answer, OpenCV's) of those that only one refuses or whose pixels differ. OpenCV's has "max" where the
    sizes are the same."""
    unlike = {file: our for file, our, their in zip(files, ours(files), others("opencv", tmp_path, files=files), strict=True)
              if our != their and not ("refused" in our and "refused" in their)}
    for number, (file, our) in enumerate(unlike.items()):
        if "ok" in our:
            probe("pixels", file, tmp_path / str(number))
    return list(zip(unlike, unlike.values(), others("opencv", tmp_path, files=unlike), strict=True))


def test_photos_and_opencv(photos, tmp_path):
    assert unlike_opencv(photos, tmp_path) == []


def test_every_kind_and_opencv(made, tmp_path):
    unlike = unlike_opencv(made, tmp_path)
    assert {file for file, _, _ in unlike} == {file for file in made if "cmyk" in file.name}
    for file, _, their in unlike:
        assert their["max"] <= OPENCV_CMYK_MAX, file


def test_collections_and_opencv(collection, tmp_path):
    files = [file for file in collection if LONG or file.name != "giant-image.jpg"]  # five seconds and 840 MB in OpenCV
    for file, our, their in unlike_opencv(files, tmp_path):
        if "refused" in their:
            assert file.name in ONLY_OPENCV_REFUSES, (file, our)
        elif "refused" in our:
            assert file.name in ONLY_OPENCV_TAKES, (file, our)
        else:
            assert our["ok"][:2] == their["ok"][:2], file
            assert their["max"] <= OPENCV_CMYK_MAX if "cmyk" in file.name.lower() else file.name in OPENCV_OTHER_PIXELS, (file, their)


# Those are decoded at a part of their size, which is not the same to the last bit.
def test_large_photos_come_close(tmp_path):
    others("make-large", tmp_path)
    files = sorted(tmp_path.glob("large-*.jpg"))
    assert len(files) == 5
    for file, difference in zip(files, input_differences(files, tmp_path), strict=True):
        assert difference["max"] > STEP, f"{file} was decoded whole"
        assert difference["mean"] < 0.6 and difference["max"] < 8, (file, difference)
