"""ResNet and MobileNetV2 as torchvision and timm compute them from a state dict, whose names tell the layers. They know
nothing of the trainer's configs. Strides are those of torchvision."""

import torch
import torch.nn.functional as F


class Network:
    def __init__(self, state):
        self.state = state

    def has(self, module):
        return module + ".weight" in self.state

    def conv(self, module, x, stride=1):
        """Depthwise where the filter has one input channel for as many outputs as x has channels."""
        weight = self.state[module + ".weight"]
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1] // weight.shape[1])

    def norm(self, module, x):
        statistics = [self.state[f"{module}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *statistics)

    def linear(self, module, x):
        return F.linear(x.mean((2, 3)), self.state[module + ".weight"], self.state[module + ".bias"])


def resnet(state, x):
    net = Network(state)
    x = F.max_pool2d(F.relu(net.norm("bn1", net.conv("conv1", x, 2))), 3, 2, 1)
    for stage in range(1, 5):
        index = 0
        while net.has(block := f"layer{stage}.{index}.conv1"):
            block, stride = block.removesuffix(".conv1"), 2 if stage > 1 and index == 0 else 1
            shortcut, last = x, 3 if net.has(block + ".conv3") else 2
            if net.has(block + ".downsample.0"):
                shortcut = net.norm(block + ".downsample.1", net.conv(block + ".downsample.0", x, stride))
            for i in range(1, last + 1):  # the 3x3 convolution of a bottleneck has the stride
                x = net.norm(f"{block}.bn{i}", net.conv(f"{block}.conv{i}", x, stride if i == last - 1 else 1))
                x = F.relu(x if i < last else x + shortcut)
            index += 1
    return net.linear("fc", x)


def inverted(net, x, stride, parts):
    """parts: convolution and normalization of each step; the depthwise one has the stride, and the last no activation."""
    before = x
    for i, (conv, norm) in enumerate(parts):
        is_depthwise = net.state[conv + ".weight"].shape[1] == 1
        x = net.norm(norm, net.conv(conv, x, stride if is_depthwise else 1))
        x = F.relu6(x) if i < len(parts) - 1 else x
    return x + before if x.shape == before.shape else x


def mobilenet_v2(state, x):
    net = Network(state)
    x = F.relu6(net.norm("features.0.1", net.conv("features.0.0", x, 2)))
    for i in range(1, 18):
        block = f"features.{i}.conv"
        steps = 2 if net.has(block + ".3") or net.has(block + ".1.0") else 1
        parts = [(f"{block}.{k}.0", f"{block}.{k}.1") for k in range(steps)] + [(f"{block}.{steps}", f"{block}.{steps + 1}")]
        x = inverted(net, x, 2 if i in (2, 4, 7, 14) else 1, parts)
    return net.linear("classifier.1", F.relu6(net.norm("features.18.1", net.conv("features.18.0", x))))


def timm_mobilenet_v2(state, x):
    net = Network(state)
    x = F.relu6(net.norm("bn1", net.conv("conv_stem", x, 2)))
    for stage in range(7):
        index = 0
        while net.has(f"blocks.{stage}.{index}.conv_pw"):
            block = f"blocks.{stage}.{index}."
            first = [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")]
            parts = first if net.has(block + "conv_pwl") else [("conv_dw", "bn1"), ("conv_pw", "bn2")]
            stride = 2 if index == 0 and stage in (1, 2, 3, 5) else 1
            x = inverted(net, x, stride, [(block + conv, block + norm) for conv, norm in parts])
            index += 1
    return net.linear("classifier", F.relu6(net.norm("bn2", net.conv("conv_head", x))))


NETWORKS = {"torchvision_resnet18": resnet, "torchvision_resnet50": resnet, "torchvision_mobilenet_v2": mobilenet_v2,
            "timm_mobilenetv2_100": timm_mobilenet_v2}


def draw(shapes):
    """Random tensors that keep the size of activations: name -> tensor."""
    torch.manual_seed(1)
    state = {}
    for name, shape in shapes.items():
        leaf = name.rsplit(".", 1)[1]
        if leaf == "num_batches_tracked":
            state[name] = torch.tensor(3)
        elif len(shape) > 1:
            state[name] = torch.randn(shape) * (2 / torch.tensor(shape[1:]).prod()) ** 0.5
        elif leaf in ("running_var", "weight"):
            state[name] = torch.rand(shape) + 0.5
        else:
            state[name] = torch.randn(shape) * 0.1
    return state
