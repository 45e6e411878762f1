"""The converter of PyTorch weights: reads data, never runs it; writes what engines read.

The parts that need numpy run in the Python that `./dev test` names in IMGREC_TEST_PYTHON.
"""
import collections
import os
import pathlib
import pickle
import struct
import subprocess
import sys

import pytest

PREPARE = pathlib.Path(__file__).resolve().parents[2] / "inference" / "tools"
sys.path.insert(0, str(PREPARE))

import onnx_writer  # noqa: E402: found through the path above

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


@pytest.fixture
def python():
    python = os.environ.get("IMGREC_TEST_PYTHON")
    if python:
        return python
    if os.environ.get("IMGREC_REQUIRE_SHARED") == "1":
        pytest.fail("IMGREC_TEST_PYTHON is not set (./dev test sets it)")
    return pytest.skip("IMGREC_TEST_PYTHON is not set (./dev test sets it)")


def load(python, file):
    """The exit status and what the reader says about the file."""
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import torch_weights\n"
            "try:\n"
            "    w = torch_weights.load(sys.argv[2]); print({n: (a.shape, str(a.dtype), a.ravel().tolist()) for n, a in w.items()})\n"
            "except torch_weights.NotWeights as error: print('refused:', error)\n")
    done = subprocess.run([python, "-B", "-c", code, str(PREPARE), str(file)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"crashed: {done.stderr[-500:]}"


# A state dict as PyTorch wrote it before 1.6, put together with pickle opcodes: no PyTorch here.
def tensor_opcodes(name, key, count, offset, shape, strides, kind=b"ctorch\nFloatStorage\n"):
    def tuple_of(numbers):
        return b"(" + b"".join(b"J" + struct.pack("<i", n) for n in numbers) + b"t"
    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()
    storage = b"(" + text("storage") + kind + text(key) + text("cpu") + b"J" + struct.pack("<i", count) + b"NtQ"
    return (text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"J" + struct.pack("<i", offset) +
            tuple_of(shape) + tuple_of(strides) + b"\x89ccollections\nOrderedDict\n)RtR")


def state_dict(*tensors):
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + b"".join(tensors) + b"u."


def weights_file(tmp_path, state, keys, storages):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"".join([pickle.dumps(MAGIC, 2), pickle.dumps(1001, 2), pickle.dumps(SYSTEM, 2), state,
                               pickle.dumps(keys, 2), *storages]))
    return file


def floats(*values):
    return struct.pack("<q", len(values)) + struct.pack(f"<{len(values)}f", *values)


def test_reads_tensors_with_their_strides(python, tmp_path):
    # Column-major, as in the real file: element (row, column) lies at row + 2 * column.
    state = state_dict(tensor_opcodes("w", "7", 6, 0, (2, 3), (1, 2)), tensor_opcodes("b", "8", 3, 1, (2,), (1,)))
    file = weights_file(tmp_path, state, ["7", "8"], [floats(1, 2, 3, 4, 5, 6), floats(9, 8, 7)])
    assert load(python, file) == str({"w": ((2, 3), "float32", [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]), "b": ((2,), "float32", [8.0, 7.0])})


class Touch:
    """Pickled, it would create a file when it is read."""

    def __init__(self, path, function):
        self.path, self.function = path, function

    def __reduce__(self):
        return self.function


@pytest.mark.parametrize("place", ["magic", "state", "inside", "keys"])
@pytest.mark.parametrize("how", ["system", "eval", "open", "getattr"])
def test_a_hostile_pickle_executes_nothing(place, how, python, tmp_path):
    trap = tmp_path / "executed"
    call = {"system": (os.system, (f"touch {trap}",)), "eval": (eval, (f"open({str(trap)!r}, 'w')",)),
            "open": (open, (str(trap), "w")), "getattr": (getattr, ("text", "upper"))}[how]
    hostile = Touch(trap, call)
    if how != "getattr":  # proves that the trap works
        try:
            loaded = pickle.loads(pickle.dumps(hostile, 2))
        except Exception:
            pytest.fail("the trap itself does not work")
        if hasattr(loaded, "close"):
            loaded.close()
        assert trap.exists()
        trap.unlink()
    good = state_dict(tensor_opcodes("b", "8", 1, 0, (1,), (1,)))
    parts = {"magic": pickle.dumps(MAGIC, 2), "protocol": pickle.dumps(1001, 2), "system": pickle.dumps(SYSTEM, 2),
             "state": good, "keys": pickle.dumps(["8"], 2), "data": floats(1)}
    if place == "inside":
        parts["state"] = pickle.dumps(collections.OrderedDict(w=hostile), 2)
    else:
        parts[place] = pickle.dumps(hostile, 2)
    file = tmp_path / "weights.pth"
    file.write_bytes(b"".join(parts.values()))
    assert load(python, file).startswith("refused: the file asks for ")
    assert not trap.exists()


@pytest.mark.parametrize("tensor, keys, storages", [
    (tensor_opcodes("w", "7", 2, 0, (3,), (1,)), ["7"], [floats(1, 2)]),                 # beyond its storage
    (tensor_opcodes("w", "7", 2, 1, (2,), (1,)), ["7"], [floats(1, 2)]),
    (tensor_opcodes("w", "7", 2, -1, (1,), (1,)), ["7"], [floats(1, 2)]),
    (tensor_opcodes("w", "7", 2, 0, (2,), (-1,)), ["7"], [floats(1, 2)]),
    (tensor_opcodes("w", "7", 2, 0, (2, 2), (1,)), ["7"], [floats(1, 2)]),
    (tensor_opcodes("w", "7", 2**30, 0, (1,), (1,)), ["7"], [floats(1)]),                # a huge promise
    (tensor_opcodes("w", "7", 2, 0, (2,), (1,)), ["7"], [floats(1, 2)[:-1]]),            # cut
    (tensor_opcodes("w", "7", 2, 0, (2,), (1,)), ["8"], [floats(1, 2)]),
    (tensor_opcodes("w", "7", 2, 0, (2,), (1,)), ["7"], [floats(1, 2, 3)]),
    (tensor_opcodes("w", "7", 2, 0, (2,), (1,), b"ctorch\nHalfStorage\n"), ["7"], [floats(1)]),
])
def test_contradictions_are_refused(tensor, keys, storages, python, tmp_path):
    assert load(python, weights_file(tmp_path, state_dict(tensor), keys, storages)).startswith("refused: ")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 the newer, zipped format", b"\x80\x02", pickle.dumps(1, 2) * 5, b"garbage"])
def test_other_files_are_refused(data, python, tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(data)
    assert load(python, file).startswith("refused: ")


def test_the_writer_writes_the_wire_format():
    # The examples of https://protobuf.dev/programming-guides/encoding.
    assert onnx_writer.number(1, 150) == b"\x08\x96\x01"
    assert onnx_writer.data(2, "testing") == b"\x12\x07testing"
    assert onnx_writer.varint(0) == b"\x00"
    assert onnx_writer.attribute("max", 6.0) == b"\x0a\x03max\x15\x00\x00\xc0\x40\xa0\x01\x01"
    assert onnx_writer.attribute("pads", [0, 0, 1, 1]) == b"\x0a\x04pads\x40\x00\x40\x00\x40\x01\x40\x01\xa0\x01\x07"


def test_same_padding_is_tensorflows():
    import efficientnet_lite0
    assert efficientnet_lite0.same_padding(224, 3, 2) == ([0, 0, 1, 1], 112)
    assert efficientnet_lite0.same_padding(56, 5, 2) == ([1, 1, 2, 2], 28)
    assert efficientnet_lite0.same_padding(7, 3, 1) == ([1, 1, 1, 1], 7)
    assert efficientnet_lite0.same_padding(7, 1, 1) == ([0, 0, 0, 0], 7)
