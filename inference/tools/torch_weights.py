"""Reads a PyTorch state dict (the format before PyTorch 1.6) into numpy arrays, as data only.

A pickle is a program that may call anything it can name. Here it can name four things: an ordered dictionary, a function
that describes a tensor, and two kinds of storage. Anything else ends the reading before it is called.
Format: torch/serialization.py, _legacy_load: five pickles (magic number, protocol version, system, the object, the keys of its
storages), then for each key the number of elements (int64) and the elements.
"""
import collections
import pickle

import numpy

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
ELEMENTS_MAX = 1 << 28
DTYPES = {"FloatStorage": numpy.dtype("<f4"), "LongStorage": numpy.dtype("<i8")}


class NotWeights(Exception):
    """The file is no such state dict, or asks for something that a state dict does not need."""


class StorageType:
    """Stands for torch.FloatStorage and its like; cannot be called."""

    def __init__(self, name):
        self.dtype = DTYPES[name]


class Storage:
    def __init__(self, dtype, count):
        self.dtype, self.count, self.data = dtype, count, None


class Tensor:
    """Where a tensor lies in its storage: the elements come later in the file."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self):
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(isinstance(n, int) and 0 <= n <= ELEMENTS_MAX for n in numbers):
            raise NotWeights("a tensor's shape is no shape")
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        if 0 in self.shape or last >= self.storage.count:
            raise NotWeights("a tensor lies outside its storage")
        item = self.storage.dtype.itemsize
        view = numpy.lib.stride_tricks.as_strided(self.storage.data[self.offset:], self.shape,
                                                  [stride * item for stride in self.strides])
        return numpy.ascontiguousarray(view).reshape(self.shape)


def rebuild_tensor(storage, offset, shape, strides, _requires_grad=False, _hooks=None):
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise NotWeights("a tensor has no storage or no shape")
    return Tensor(storage, offset, shape, strides)


ALLOWED = {("collections", "OrderedDict"): collections.OrderedDict,
           ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
           ("torch", "FloatStorage"): StorageType("FloatStorage"),
           ("torch", "LongStorage"): StorageType("LongStorage")}


class DataUnpickler(pickle.Unpickler):
    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        try:
            return ALLOWED[(module, name)]
        except KeyError:
            raise NotWeights(f"the file asks for {module}.{name}, which no weights need") from None

    def persistent_load(self, pid):
        if not isinstance(pid, tuple) or len(pid) != 6 or pid[0] != "storage" or not isinstance(pid[1], StorageType):
            raise NotWeights("the file refers to something that is no storage")
        _, kind, key, _, count, view = pid
        if not isinstance(count, int) or not 0 <= count <= ELEMENTS_MAX or view is not None:
            raise NotWeights("a storage has an impossible size")
        return self.storages.setdefault(key, Storage(kind.dtype, count))


def read_pickle(file, expected=None):
    try:
        value = DataUnpickler(file).load()
    except NotWeights:
        raise
    except Exception as error:  # pickle raises nearly any kind for damaged data
        raise NotWeights(f"the file is damaged ({error})") from error
    if expected is not None and value != expected:
        raise NotWeights("the file is no PyTorch state dict of the format before 1.6")
    return value


def read_storages(file, storages, keys):
    if not isinstance(keys, list) or set(keys) != set(storages):
        raise NotWeights("the storages do not match the tensors")
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        if count != storage.count:
            raise NotWeights("a storage has another size than announced")
        data = file.read(count * storage.dtype.itemsize)
        if len(data) != count * storage.dtype.itemsize:
            raise NotWeights("the file ends early")
        storage.data = numpy.frombuffer(data, storage.dtype)


def load(path):
    """Name → array."""
    with open(path, "rb") as file:
        read_pickle(file, MAGIC)
        read_pickle(file, PROTOCOL)
        system = read_pickle(file)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise NotWeights("the weights were written by a machine of the other byte order")
        unpickler = DataUnpickler(file)
        try:
            state = unpickler.load()
        except NotWeights:
            raise
        except Exception as error:
            raise NotWeights(f"the file is damaged ({error})") from error
        read_storages(file, unpickler.storages, read_pickle(file))
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise NotWeights("the file holds other things than tensors")
    return {name: tensor.array() for name, tensor in state.items()}
