"""The trainer's networks in PyTorch, built from a config. Stands alone, as PyTorch may live in another Python than the
tests, and takes long to start. Each line of the standard input is a JSON list; it is answered with the line "done":

["logits", CONFIG, WEIGHTS, IMAGES, OUT]    WEIGHTS.safetensors, IMAGES.npy (N,C,H,W) -> OUT.npy (N,D)
["create", CONFIG, C, H, W, D, OUT]         a random network's state_dict -> OUT.safetensors
["recipe", CODE, WEIGHTS, IMAGES, OUT]      the network that the Python in the file CODE makes, as "logits"
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
        self.layers = nn.Sequential(*layers_of(model, channels, height, width, classes))
        self.is_convnet = model["kind"] == "convnet"

    def forward(self, pixels):
        x = self.input(pixels)
        x = x if self.is_convnet else x.flatten(1)
        for layer in self.layers:
            x = layer(x.flatten(1) if isinstance(layer, nn.Linear) else x)
        return x


def block_of(model, width, flat, dropout):
    activations = {"relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(float(model["activation_slope"])),
                   "elu": nn.ELU(float(model["activation_slope"]))}
    for part in re.split(r",\s*", model["block"]):
        if part == "batchnorm" and model["batchnorm"] != "none":
            yield (nn.BatchNorm1d if flat else nn.BatchNorm2d)(
                width, eps=float(model["batchnorm_epsilon"]), momentum=float(model["batchnorm_momentum"]),
                track_running_stats=model["batchnorm_batch_stats_only"] == "false")
        elif part == "activation":
            yield activations[model["activation"]]
        elif part == "dropout" and float(model["dropout"]) > 0:
            yield dropout(float(model["dropout"]))


def window_of(text, usual):
    """ "k5s2p2" with what is left out from `usual`, a function of the kernel (or None) -> kernel, stride, padding"""
    given = {name: int(value) for name, value in re.findall(r"([ksp])(\d+)", text)}
    kernel, stride, padding = usual(given.get("k"))
    return kernel, given.get("s", stride), given.get("p", padding)


def layers_of(model, channels, height, width, classes, dropout=nn.Dropout):
    """The layers of a resolved [model] section, in the order of their names in a checkpoint: layers.<i>."""
    layers, count = [], channels if model["kind"] == "convnet" else channels * height * width
    for feature in filter(None, re.split(r",\s*", model.get("features", ""))):
        kind, rest = re.fullmatch(r"(M|A|\d+)(.*)", feature).groups()
        rest = rest if kind.isdigit() else re.sub(r"^(\d+)", r"k\1", rest)
        if kind == "M":
            window = window_of(rest, lambda k: (k, k, 0) if k else (3, 2, 1))
            layers.append(nn.MaxPool2d(*window))
        elif kind == "A":
            window = window_of(rest, lambda k: (k or 1, k or 1, 0))
            layers.append(nn.AvgPool2d(*window))
        else:
            window = window_of(rest, lambda k: (k or 3, 1, (k or 3) // 2))
            layers += [nn.Conv2d(count, int(kind), *window), *block_of(model, int(kind), False, dropout)]
            count = int(kind)
        height, width = ((size + 2 * window[2] - window[0]) // window[1] + 1 for size in (height, width))
    if model["kind"] == "convnet" and (height > 1 or width > 1):
        layers.append(nn.Flatten())
        count *= height * width
    for units in map(int, filter(None, re.split(r",\s*", model.get("hidden", "")))):
        layers += [nn.Linear(count, units), *block_of(model, units, True, dropout)]
        count = units
    return layers + [nn.Linear(count, classes)]


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


def main(action, config, *arguments):
    if action in ("recipe", "plain"):
        return globals()[action](config, *arguments)
    parser = configparser.ConfigParser(inline_comment_prefixes=("#", ";"))
    parser.read(config)
    model = parser["model"]
    torch.manual_seed(1)
    if action == "logits":
        weights, images, out = arguments
        state = read_safetensors(weights)
        classes = state[max((name for name in state if name.endswith(".bias")), key=lambda name: int(name.split(".")[1]))]
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
