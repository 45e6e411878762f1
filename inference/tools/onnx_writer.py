"""Writes ONNX files: the few messages of onnx.proto3 that a convolutional network needs, in protocol buffers' wire format
(https://protobuf.dev/programming-guides/encoding). Without the onnx package, so that the bytes never depend on its version.
"""
IR_VERSION = 5      # of ONNX 1.5
OPSET = 10          # the newest in which Clip has its bounds as attributes, as OpenCV 4.6 wants them
FLOAT, INT, INTS, FLOAT_ATTRIBUTE = 1, 2, 7, 1


def varint(value):
    out = bytearray()
    while True:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if value == 0:
            return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, value):
    value = value.encode() if isinstance(value, str) else bytes(value)
    return varint(field << 3 | 2) + varint(len(value)) + value


def float32(field, value):
    import struct
    return varint(field << 3 | 5) + struct.pack("<f", value)


def attribute(name, value):
    """AttributeProto: name 1, f 2, i 3, ints 8, type 20."""
    if isinstance(value, float):
        return data(1, name) + float32(2, value) + number(20, FLOAT_ATTRIBUTE)
    if isinstance(value, int):
        return data(1, name) + number(3, value) + number(20, INT)
    return data(1, name) + b"".join(number(8, one) for one in value) + number(20, INTS)


def value_info(name, shape):
    """ValueInfoProto: name 1, type 2 {tensor_type 1 {elem_type 1, shape 2 {dim 1 {dim_value 1}}}}."""
    dimensions = b"".join(data(1, number(1, size)) for size in shape)
    return data(1, name) + data(2, data(1, number(1, FLOAT) + data(2, dimensions)))


class Graph:
    """GraphProto: node 1, name 2, initializer 5, input 11, output 12."""

    def __init__(self, name):
        self.name, self.nodes, self.weights = name, [], []

    def node(self, operator, inputs, output, **attributes):
        """NodeProto: input 1, output 2, name 3, op_type 4, attribute 5."""
        parts = [data(1, name) for name in inputs] + [data(2, output), data(3, output), data(4, operator)]
        parts += [data(5, attribute(name, value)) for name, value in sorted(attributes.items())]
        self.nodes.append(b"".join(parts))

    def weight(self, name, array):
        """TensorProto: dims 1, data_type 2, name 8, raw_data 9."""
        if array.dtype != "float32":
            raise ValueError(f"{name} is no float32")
        dimensions = b"".join(number(1, size) for size in array.shape)
        self.weights.append(dimensions + number(2, FLOAT) + data(8, name) + data(9, array.astype("<f4").tobytes()))

    def model(self, input_name, input_shape, output_name, output_shape):
        """ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8 {domain 1, version 2}."""
        graph = b"".join([data(1, node) for node in self.nodes] + [data(2, self.name)] +
                         [data(5, weight) for weight in self.weights] +
                         [data(11, value_info(input_name, input_shape)), data(12, value_info(output_name, output_shape))])
        return (number(1, IR_VERSION) + data(2, "imgrec") + data(7, graph) +
                data(8, data(1, "") + number(2, OPSET)))
