"""ResNet-18 in PyTorch with the weights of an ONNX file. K. He et al., "Deep Residual Learning", CVPR 2016; the layers are
those of torchvision's resnet18, which the benchmark's users would load."""
import openvino
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs, eps=0)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=0)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps=0))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet18(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=0)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        blocks, inputs = [], 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        self.layers = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))

    def pairs(self):
        """Convolutions with their normalisations: those of the main path in order, then those of the shortcuts."""
        main, shortcuts = [(self.conv1, self.bn1)], []
        for block in self.layers:
            main += [(block.conv1, block.bn1), (block.conv2, block.bn2)]
            if block.downsample is not None:
                shortcuts.append((block.downsample[0], block.downsample[1]))
        return main, shortcuts


def constant_of(node):
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node.data if node.get_type_name() == "Constant" else None


def bias_of(node):
    """What is added to a layer's output by the only node that follows it."""
    for user in (target.get_node() for target in node.output(0).get_target_inputs()):
        if user.get_type_name() == "Add":
            for value in (user.input_value(0), user.input_value(1)):
                if (data := constant_of(value.get_node())) is not None:
                    return data.reshape(-1)
    return None


def load(path):
    """The module, or None when the file holds another network. Normalisations come folded into the convolutions: here they
    only add the bias, at the usual cost."""
    network = openvino.convert_model(path)
    layers = [node for node in network.get_ordered_ops() if node.get_type_name() in ("Convolution", "MatMul")]
    weights = [constant_of(node.input_value(1).get_node()) for node in layers]
    if len(layers) != 21 or layers[-1].get_type_name() != "MatMul" or any(weight is None for weight in weights):
        return None
    weights[-1] = weights[-1] if weights[-1].shape[1] == 512 else weights[-1].T
    model = ResNet18(weights[-1].shape[0])
    main, shortcuts = model.pairs()
    found = [[], []]
    for node, weight in zip(layers[:-1], weights):
        found[weight.shape[2] == 1].append((node, weight))
    with torch.no_grad():
        for (convolution, norm), (node, weight) in zip(main + shortcuts, found[0] + found[1]):
            if convolution.weight.shape != weight.shape:
                return None
            convolution.weight.copy_(torch.tensor(weight))
            if (bias := bias_of(node)) is not None:
                norm.bias.copy_(torch.tensor(bias))
        model.fc.weight.copy_(torch.tensor(weights[-1]))
        model.fc.bias.copy_(torch.tensor(bias_of(layers[-1])))
    return model.eval()
