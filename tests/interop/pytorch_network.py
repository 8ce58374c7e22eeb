"""The trainer's networks in PyTorch, built from a config. Stands alone, as PyTorch may live in another Python than the
tests, and takes long to start. Each line of the standard input is a JSON list; it is answered with the line "done":

["logits", CONFIG, WEIGHTS, IMAGES, OUT]    WEIGHTS.safetensors, IMAGES.npy (N,C,H,W) -> OUT.npy (N,D)
["create", CONFIG, C, H, W, D, OUT]         a random network's state_dict -> OUT.safetensors
["recipe", CODE, WEIGHTS, IMAGES, OUT]      the network that the Python in the file CODE makes, as "logits"
["draw", SHAPES, OUT]                       a random state dict of the names and shapes in the file -> OUT.safetensors
["named", NAME, WEIGHTS, INPUT, IMAGES, OUT] the network of named_networks.py with that state dict, as "logits"; INPUT has the
                                            tensors input.offset and input.scale
["plain", CODE, OUT]                        its layers with an nn.Flatten before the linear one, as a plain nn.Sequential of
                                            random tensors in half precision -> OUT.safetensors
"""

import configparser
import json
import re
import sys

import numpy
import torch
from torch import nn

import named_networks


class Input(nn.Module):
    def __init__(self, channels, height, width):
        super().__init__()
        self.register_buffer("offset", torch.zeros(channels, height, width))
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, pixels):
        return (pixels - self.offset) * self.scale[:, None, None]


class Network(nn.Module):
    def __init__(self, model, channels, height, width, classes):
        super().__init__()
        self.input = Input(channels, height, width)
        self.layers = Layers(model, channels, height, width, classes)

    def forward(self, pixels):
        return self.layers(self.input(pixels))


class Add(nn.Module):
    def forward(self, a, b):
        return a + b


class Gate(nn.Module):
    def forward(self, x, z):
        return x * torch.sigmoid(z)


class Layers(nn.ModuleList):
    """The layers of a resolved [model] section, under their names in a checkpoint: layers.<i>. A layer reads those of
    self.sources, -1 being the network's input."""

    def __init__(self, model, channels, height, width, classes, dropout=nn.Dropout):
        super().__init__()
        self.model, self.dropout, self.sources = model, dropout, []
        self.is_convnet = model["kind"] == "convnet"
        self.count, self.size = (channels, (height, width)) if self.is_convnet else (channels * height * width, (1, 1))
        entries = split_features(model.get("features", ""))
        for entry, following in zip(entries, [*entries[1:], ""]):
            self.add_entry(entry, before_block=following.startswith("("))
        if self.is_convnet and self.size != (1, 1):
            self.add(nn.Flatten())
            self.count *= self.size[0] * self.size[1]
        for units in map(int, filter(None, re.split(r",\s*", model.get("hidden", "")))):
            self.add(nn.Linear(self.count, units))
            self.count = units
            self.add_block(flat=True)
        if float(model["head_dropout"]) > 0:
            self.add(dropout(float(model["head_dropout"])))
        self.add(nn.Linear(self.count, classes, bias=model["head_bias"] == "true"))

    def add(self, layer, *sources):
        """The place of the layer, which reads the layer before it unless `sources` are given."""
        self.append(layer)
        self.sources.append(sources or (len(self) - 2,))
        return len(self) - 1

    def forward(self, x):
        outputs = [x if self.is_convnet else x.flatten(1)]
        for layer, sources in zip(self, self.sources):
            inputs = [outputs[source + 1] for source in sources]
            outputs.append(layer(*[x.flatten(1) if isinstance(layer, nn.Linear) else x for x in inputs]))
        return outputs[-1]

    def normalization(self, flat=False):
        model = self.model
        return (nn.BatchNorm1d if flat else nn.BatchNorm2d)(
            self.count, eps=float(model["batchnorm_epsilon"]), momentum=float(model["batchnorm_momentum"]),
            track_running_stats=model["batchnorm_batch_stats_only"] == "false")

    def activation(self):
        slope = float(self.model["activation_slope"])
        return {"relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": lambda: nn.LeakyReLU(slope), "elu": lambda: nn.ELU(slope),
                "gelu": nn.GELU, "silu": nn.SiLU}[
            self.model["activation"]]()

    def block_of(self, flat=False, activated=True):
        there = {"batchnorm": self.model["batchnorm"] != "none", "activation": activated,
                 "dropout": float(self.model["dropout"]) > 0}
        layers = {"batchnorm": (lambda: self.normalization(True)) if flat else self.normalization, "activation": self.activation,
                  "dropout": lambda: self.dropout(float(self.model["dropout"]))}
        return [layers[part] for part in re.split(r",\s*", self.model["block"]) if there[part]]

    def add_block(self, **options):
        for make in self.block_of(**options):
            self.add(make())

    def add_conv2d(self, channels, window, groups, following, *sources, own_pool=""):
        """following: functions that make the layers behind it. An average with padding makes of a bias no constant."""
        padded = own_pool[:1] == "A" and "p" in own_pool
        normalized = following[:1] == [self.normalization] and not padded
        bias = {"true": True, "false": False, "auto": not normalized}[self.model["conv_bias"]]
        self.add(nn.Conv2d(self.count, channels, *window, groups=groups, bias=bias), *sources)
        self.count, self.size = channels, self.size_after(window)
        if own_pool:
            self.add(self.pool(own_pool))
        for make in following:
            self.add(make())

    def size_after(self, window):
        return tuple((size + 2 * window[2] - window[0]) // window[1] + 1 for size in self.size)

    def add_entry(self, entry, before_block):
        preactivation = self.model["residual"] == "preactivation"
        block = re.fullmatch(r"\((.*)\)\+(?: x(\d+))?", entry)
        if block:
            for repeat in range(int(block[2] or 1)):
                self.add_residual_block([(count, (kernel, 1 if repeat else stride, padding), groups, reduction)
                                         for count, (kernel, stride, padding), groups, reduction in convs_of(block[1])])
            if preactivation and not before_block:
                self.add_block()
        elif entry == "G":
            self.add(nn.AdaptiveAvgPool2d(1))
            self.size = 1, 1
        elif entry[0] == "S":
            self.add_excitation(int(entry[1:]))
        elif entry[0] in "MA":
            self.add(self.pool(entry))
        elif entry[0] == "W":
            kernel = int(entry[1:])
            self.add_conv2d(2 * self.count * kernel * kernel, (kernel, 1, 0), 1, [self.activation])
            self[-2].weight.requires_grad_(False)
        else:
            conv, own_pool = re.fullmatch(r"([^MA]*)(.*)", entry).groups()
            self.add_conv2d(*conv_of(conv), self.block_of(), own_pool=own_pool)
            if preactivation and before_block:  # what the block begins with
                for _ in self.block_of():
                    self.pop(-1), self.sources.pop()

    def pool(self, text):
        """The module that an entry like M2s2p0 stands for, and the size behind it in self.size."""
        rest = re.sub(r"^(\d+)", r"k\1", text[1:])
        window = window_of(rest, lambda k: (k, k, 0) if k else {"M": (3, 2, 1), "A": (1, 1, 0)}[text[0]])
        self.size = self.size_after(window)
        return {"M": nn.MaxPool2d, "A": nn.AvgPool2d}[text[0]](*window)

    def add_excitation(self, reduction):
        x = len(self) - 1
        for layer in (nn.AdaptiveAvgPool2d(1), nn.Conv2d(self.count, self.count // reduction, 1), self.activation(),
                      nn.Conv2d(self.count // reduction, self.count, 1)):
            self.add(layer)
        self.add(Gate(), x, len(self) - 1)

    def add_residual_block(self, convs):
        """convs: channels, window, groups of each, and the reduction of the squeeze-and-excitation behind it, or 0."""
        x, before = len(self) - 1, (self.count, self.size)
        for channels, window, *_ in convs:
            self.count, self.size = channels, self.size_after(window)
        after, shortcut = (self.count, self.size), x
        self.count, self.size = before
        form = self.model["residual"]
        if form == "preactivation":
            self.add_block()
            x = len(self) - 1
        if before != after and form != "linear":
            stride = numpy.prod([window[1] for _, window, *_ in convs]).item()
            following = [] if self.model["batchnorm"] == "none" or form == "preactivation" else [self.normalization]
            self.add_conv2d(after[0], (1, stride, 0), 1, following, x)
            shortcut, (self.count, self.size) = len(self) - 1, before
        for i, (*conv, reduction) in enumerate(convs):
            is_last = i == len(convs) - 1
            following = [] if form == "preactivation" and is_last else self.block_of(activated=form == "preactivation" or not is_last)
            behind = following if form == "preactivation" and reduction else []
            self.add_conv2d(*conv, [] if behind else following, *([x] if i == 0 else []))
            if reduction:
                self.add_excitation(reduction)
            for make in behind:
                self.add(make())
        if before == after or form != "linear":
            self.add(Add(), len(self) - 1, shortcut)
        if form == "original":
            self.add(self.activation())


def split_features(text):
    """At each comma outside parentheses."""
    return re.findall(r"\([^)]*\)\+(?: x\d+)?|[^,\s]+", text)


def window_of(text, usual):
    """ "k5s2p2" with what is left out from `usual`, a function of the kernel (or None) -> kernel, stride, padding"""
    given = {name: int(value) for name, value in re.findall(r"([ksp])(\d+)", text)}
    kernel, stride, padding = usual(given.get("k"))
    return kernel, given.get("s", stride), given.get("p", padding)


def conv_of(text):
    """ "64k5s2p2g4" -> channels, window, groups"""
    channels, rest, groups = re.fullmatch(r"(\d+)([^g]*)(?:g(\d+))?", text).groups()
    return int(channels), window_of(rest, lambda k: (k or 3, 1, (k or 3) // 2)), int(groups or 1)


def convs_of(text):
    """ "64, 64k1, S16" -> those of each convolution, and the reduction behind it, or 0"""
    return [(*conv_of(conv), int(reduction or 0)) for conv, reduction in re.findall(r"(\d[^,\s]*)(?:,\s*S(\d+))?", text)]


def read_safetensors(path):
    """With the format's own library where this Python has it."""
    try:
        from safetensors.torch import load_file
        return load_file(path)
    except ImportError:
        pass
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: torch.from_numpy(numpy.frombuffer(data[slice(*entry["data_offsets"])], "<f4").copy()).reshape(entry["shape"])
            for name, entry in header.items()}


def write_safetensors(tensors, path):
    try:
        from safetensors.torch import save_file
        return save_file(tensors, path)
    except ImportError:
        pass
    header, data = {}, b""
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        values = tensor.numpy().tobytes()
        header[name] = {"dtype": {torch.float16: "F16", torch.float32: "F32", torch.int64: "I64"}[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def run_recipe(path, weights=None):
    """The names that the code defines. Its last line loads weights: those given, or it is left out."""
    with open(path) as file:
        code = file.read().replace("from safetensors.torch import load_file", "")
    *definitions, last = code.strip().split("\n")
    names = {"load_file": read_safetensors}
    exec("\n".join(definitions) + (f"\nnetwork.load_state_dict(load_file({weights!r}))" if weights else ""), names)
    assert last.startswith("network.load_state_dict(load_file("), last
    return names


def recipe(code, weights, images, out):
    with torch.no_grad():
        network = run_recipe(code, weights)["network"]
        numpy.save(out, network(torch.from_numpy(numpy.load(images)).float()).numpy())


def randomize(layers):
    for layer in layers:
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias)


def plain(code, out):
    torch.manual_seed(1)
    layers = list(run_recipe(code)["layers"]())
    randomize(layers)
    network = nn.Sequential(*layers[:-1], nn.Flatten(), layers[-1])
    network(torch.zeros(2, 3, 32, 32))  # it is a network, with the Flatten too
    write_safetensors(network.half().state_dict(), out)


def draw(path, out):
    with open(path) as file:
        lines = [line.split() for line in file if not line.startswith("#")]
    shapes = {name: () if shape == "-" else tuple(map(int, shape.split(","))) for name, shape in lines}
    write_safetensors(named_networks.draw(shapes), out)


def read_state(path):
    """All tensors in double precision."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
    return {name: torch.from_numpy(numpy.frombuffer(data[slice(*entry["data_offsets"])], types[entry["dtype"]]).copy())
            .double().reshape(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def named(name, weights, input_file, images, out):
    entry = Input(3, 1, 1)
    state = read_state(input_file)
    entry.offset, entry.scale = state["input.offset"], state["input.scale"]
    with torch.no_grad():
        pixels = entry(torch.from_numpy(numpy.load(images)).double())
        numpy.save(out, named_networks.NETWORKS[name](read_state(weights), pixels).numpy())


def main(action, config, *arguments):
    if action in ("recipe", "plain", "draw", "named"):
        return globals()[action](config, *arguments)
    parser = configparser.ConfigParser(inline_comment_prefixes=("#", ";"))
    parser.read(config)
    model = parser["model"]
    torch.manual_seed(1)
    if action == "logits":
        weights, images, out = arguments
        state = read_safetensors(weights)
        classes = state[max((name for name in state if name.endswith(".weight")), key=lambda name: int(name.split(".")[1]))]
        network = Network(model, *state["input.offset"].shape, len(classes)).eval()
        network.load_state_dict(state)  # strict: every name, every shape
        with torch.no_grad():
            numpy.save(out, network(torch.from_numpy(numpy.load(images)).float()).numpy())
    else:
        *shape, classes = map(int, arguments[:4])
        network = Network(model, *shape, classes)
        randomize(network.layers)
        state = {name: value for name, value in network.state_dict().items() if name.startswith("layers.")}
        write_safetensors(state, arguments[4])


if __name__ == "__main__":
    for line in sys.stdin:
        main(*json.loads(line))
        print("done", flush=True)
