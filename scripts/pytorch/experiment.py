"""A config as `trainer bench --out` writes it, every key resolved, and the layers that its [model] section describes."""

import configparser
import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Layer:
    """kind: conv2d, max-pool, average-pool, global-pool, gate, linear, batchnorm, activation, dropout, flatten or add."""

    kind: str
    size: int = 0  # channels of a convolution, units of a linear layer
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1  # of a convolution
    reduction: int = 0  # of the squeeze-and-excitation behind a convolution of a residual block; 0: none is there
    rate: float = 0  # of a dropout
    bias: bool = True  # of a convolution
    sources: tuple = ()  # places of the layers that it reads, INPUT for the network's input; (): the layer before it


INPUT = -1


class Experiment:
    def __init__(self, text):
        self.keys = configparser.ConfigParser(interpolation=None)
        self.keys.read_string(text)

    def text(self, section, key):
        return self.keys.get(section, key)

    def number(self, section, key):
        return float(self.text(section, key))

    def count(self, section, key):
        return int(self.text(section, key))

    def flag(self, section, key):
        return self.keys.getboolean(section, key)

    def words(self, section, key):
        return [word.strip() for word in self.text(section, key).split(",") if word.strip()]

    def layers(self):
        """Those of src/nn/model.c, in order, down to the one that gives the classes."""
        layers, shape = [], tuple(self.count("bench", key) for key in ("channels", "height", "width"))
        if self.text("model", "kind") == "convnet":
            entries = split_features(self.text("model", "features"))
            for entry, following in zip(entries, [*entries[1:], ""]):
                shape = self.add_feature(layers, entry, following.startswith("("), shape)
        layers.append(Layer("flatten"))
        for units in self.words("model", "hidden"):
            layers += [Layer("linear", int(units)), *self.block()]
        if self.number("model", "head_dropout") > 0:
            layers.append(Layer("dropout", rate=self.number("model", "head_dropout")))
        return [*layers, Layer("linear", self.count("bench", "classes"))]

    def block(self, activated=True):
        """What follows each convolution and hidden linear layer."""
        rate = self.number("model", "dropout")
        there = {
            "batchnorm": self.text("model", "batchnorm") != "none",
            "activation": activated,
            "dropout": rate > 0,
        }
        return [Layer(part, rate=rate if part == "dropout" else 0) for part in self.words("model", "block") if there[part]]

    def add_feature(self, layers, entry, before_block, shape):
        """Adds what an entry of model.features stands for, behind a shape (C,H,W). Returns the shape after it. Before a
        residual block of pre-activation a convolution has no block of its own, and behind the last of them comes one."""
        preactivation = self.text("model", "residual") == "preactivation"
        block = re.fullmatch(r"\((.*)\)\+(?:\s*x\s*(\d+))?", entry)
        if block:
            convolutions = convolutions_of(block[1])
            for repeat in range(int(block[2] or 1)):
                repeated = [replace(conv, stride=1) if repeat else conv for conv in convolutions]
                shape = self.add_residual_block(layers, repeated, shape)
            layers += self.block() if preactivation and not before_block else []
            return shape
        if re.fullmatch(r"S\d+", entry):
            self.add_excitation(layers, int(entry[1:]), shape[0])
            return shape
        layer = feature(entry)
        if layer.kind == "conv2d":
            self.add_convolution(layers, layer, self.block())
            if preactivation and before_block:
                del layers[len(layers) - len(self.block()) :]
        else:
            layers.append(layer)
        return shape_after(layer, shape)

    def add_convolution(self, layers, conv, following):
        """Adds a convolution and the layers behind it."""
        normalized = following[:1] == [Layer("batchnorm")]
        bias = {"true": True, "false": False, "auto": not normalized}[self.text("model", "conv_bias")]
        layers += [replace(conv, bias=bias), *following]

    def add_excitation(self, layers, reduction, channels):
        """Adds squeeze-and-excitation behind the last layer."""
        x = len(layers) - 1
        layers += [Layer("global-pool"), Layer("conv2d", channels // reduction), Layer("activation"), Layer("conv2d", channels)]
        layers.append(Layer("gate", sources=(x, len(layers) - 1)))

    def add_residual_block(self, layers, convolutions, shape):
        """Where the block changes the shape, the sum reads the input through a 1x1 convolution, or there is no sum."""
        x = shortcut = len(layers) - 1 if layers else INPUT
        after, stride, form = shape, 1, self.text("model", "residual")
        if form == "preactivation":
            layers += self.block()
            x = len(layers) - 1
        for conv in convolutions:
            after, stride = shape_after(conv, after), stride * conv.stride
        if after != shape and form != "linear":
            there = self.text("model", "batchnorm") != "none" and form != "preactivation"
            normalized = [Layer("batchnorm")] if there else []
            self.add_convolution(layers, Layer("conv2d", after[0], 1, stride, sources=(x,)), normalized)
            shortcut = len(layers) - 1
        first, last = convolutions[0], len(convolutions) - 1
        for place, conv in enumerate([replace(first, sources=(x,)), *convolutions[1:]]):
            following = self.block(activated=form == "preactivation" or place < last)
            if form == "preactivation" and place == last:
                following = []
            behind = following if form == "preactivation" and conv.reduction else []
            self.add_convolution(layers, conv, [] if behind else following)
            if conv.reduction:
                self.add_excitation(layers, conv.reduction, conv.size)
            layers += behind
        if after == shape or form != "linear":
            layers.append(Layer("add", sources=(len(layers) - 1, shortcut)))
        if form == "original":
            layers.append(Layer("activation"))
        return after


def split_features(text):
    """The entries: at each comma outside of parentheses."""
    return [entry for entry in (part.strip() for part in re.split(r",(?![^(]*\))", text)) if entry]


def shape_after(layer, shape):
    if layer.kind == "global-pool":
        return shape[0], 1, 1
    channels = layer.size if layer.kind == "conv2d" else shape[0]
    return channels, *((size + 2 * layer.padding - layer.kernel) // layer.stride + 1 for size in shape[1:])


def convolutions_of(block):
    """What stands between the parentheses of a residual block."""
    layers = []
    for text in map(str.strip, block.split(",")):
        if re.fullmatch(r"S\d+", text) and layers:
            layers[-1] = replace(layers[-1], reduction=int(text[1:]))
        else:
            layers.append(feature(text))
    return layers


def feature(entry):
    """A convolution or a pool of model.features; `trainer keys` tells what it may be and the defaults."""
    if entry == "G":
        return Layer("global-pool")
    match = re.fullmatch(r"(?:(\d+)(?:k(\d+))?|([MA])(\d+)?)(?:s(\d+))?(?:p(\d+))?(?:g(\d+))?", entry)
    if not match:
        raise ValueError(f'model.features: "{entry}" is not known to this script')
    channels, kernel, pool, window, stride, padding, groups = match.groups()
    if channels:
        kernel = int(kernel or 3)
        return Layer("conv2d", int(channels), kernel, int(stride or 1), int(padding or kernel // 2), int(groups or 1))
    kind = "max-pool" if pool == "M" else "average-pool"
    if not window:
        return Layer(kind, 0, 3, 2, 1) if pool == "M" else Layer(kind, 0, 1, 1, 0)
    return Layer(kind, 0, int(window), int(stride or window), int(padding or 0))
