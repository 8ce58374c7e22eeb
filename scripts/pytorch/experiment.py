"""A config as `trainer bench --out` writes it, every key resolved, and the layers that its [model] section describes."""

import configparser
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """kind: conv2d, max-pool, average-pool, linear, batchnorm, activation, dropout or flatten."""

    kind: str
    size: int = 0  # channels of a convolution, units of a linear layer
    kernel: int = 1
    stride: int = 1
    padding: int = 0


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
        layers, block = [], self.block()
        if self.text("model", "kind") == "convnet":
            for entry in self.words("model", "features"):
                layer = feature(entry)
                layers.append(layer)
                if layer.kind == "conv2d":
                    layers += block
        layers.append(Layer("flatten"))
        for units in self.words("model", "hidden"):
            layers += [Layer("linear", int(units)), *block]
        return [*layers, Layer("linear", self.count("bench", "classes"))]

    def block(self):
        """What follows each convolution and hidden linear layer."""
        there = {
            "batchnorm": self.text("model", "batchnorm") != "none",
            "activation": True,
            "dropout": self.number("model", "dropout") > 0,
        }
        return [Layer(part) for part in self.words("model", "block") if there[part]]


def feature(entry):
    """An entry of model.features; `trainer keys` tells what it may be and the defaults."""
    match = re.fullmatch(r"(?:(\d+)(?:k(\d+))?|([MA])(\d+)?)(?:s(\d+))?(?:p(\d+))?", entry)
    if not match:
        raise ValueError(f'model.features: "{entry}" is not known to this script')
    channels, kernel, pool, window, stride, padding = match.groups()
    if channels:
        kernel = int(kernel or 3)
        return Layer("conv2d", int(channels), kernel, int(stride or 1), int(padding or kernel // 2))
    kind = "max-pool" if pool == "M" else "average-pool"
    if not window:
        return Layer(kind, 0, 3, 2, 1) if pool == "M" else Layer(kind, 0, 1, 1, 0)
    return Layer(kind, 0, int(window), int(stride or window), int(padding or 0))
