"""The same network, optimizer and data in PyTorch, timed as `trainer bench` times its own. Everything that PyTorch can
be set to (memory format, how a batch is gathered, eager or compiled) is a Setup; `best_session` times them all."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from experiment import INPUT, Layer

WARM_UP_STEPS = 3
TRIAL_STEPS = 7
GPU_REPEATS = 5
EAGER, COMPILED, GRAPH = "eager", "torch.compile", "CUDA graph of the eager step"
EVALUATION_BATCHES = (32, 128, 512)
EVALUATION_IMAGES = 1024
clock = time.perf_counter  # or another one, set from outside


@dataclass(frozen=True)
class Setup:
    channels_last: bool
    stored: str  # the training set in memory: "float" is normalised once, "uint8" batch by batch
    mode: str

    def __str__(self):
        return ", ".join(["channels_last" if self.channels_last else "contiguous", f"{self.stored} data", self.mode])


class Images:
    """Noise of the experiment's format, and batches of it: normalised, in the setup's memory format, on the device."""

    def __init__(self, experiment, setup, device, vectors):
        shape = [experiment.count("bench", key) for key in ("train_count", "channels", "height", "width")]
        classes = experiment.count("bench", "classes")
        self.setup, self.vectors = setup, vectors
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
        self.labels = (torch.arange(shape[0]) % classes).to(device)
        offset, scale = normalization(pixels, experiment.text("data", "normalization"))
        if setup.channels_last:  # a sample's bytes stay together, so that a batch is whole rows
            pixels, offset, scale = (t.movedim(-3, -1).contiguous() for t in (pixels, offset, scale))
        self.offset, self.scale = offset.to(device), scale.to(device)
        self.pixels = pixels.to(device)
        if setup.stored == "float":
            self.pixels = torch.cat([self.normalized(part) for part in self.pixels.split(1000)])
        self.order, self.first = torch.randperm(shape[0], device=device), 0

    def normalized(self, pixels):
        return pixels.to(torch.float32).sub_(self.offset).mul_(self.scale)

    def shaped(self, pixels):
        if self.pixels.dtype == torch.uint8:
            pixels = self.normalized(pixels)
        if self.setup.channels_last:
            pixels = pixels.movedim(-1, -3)
        return pixels.flatten(1) if self.vectors else pixels

    def random_indices(self, size):
        if self.first + size > len(self.order):
            self.order, self.first = torch.randperm(len(self.order), device=self.order.device), 0
        chosen = self.order[self.first : self.first + size]
        self.first += size
        return chosen

    def batch_of(self, chosen):
        return self.shaped(self.pixels.index_select(0, chosen)), self.labels.index_select(0, chosen)

    def batch_at(self, first, size):
        return self.shaped(self.pixels[first : first + size]), self.labels[first : first + size]


def normalization(pixels, kind):
    """Offset (C,H,W) and scale (C,1,1); formulas: dataset_load in src/data/dataset.h."""
    channels = pixels.shape[1]
    offset, scale = torch.zeros(pixels.shape[1:]), torch.ones(channels, 1, 1)
    if kind == "unit":
        scale /= 255
    elif kind == "mean_image":
        offset = torch.stack([part.float().sum(0) for part in pixels.split(1000)]).sum(0) / len(pixels)
    elif kind == "channel":
        for c in range(channels):
            values = torch.bincount(pixels[:, c].flatten(), minlength=256).double()
            mean = (values * torch.arange(256)).sum() / values.sum()
            deviation = ((values * (torch.arange(256) - mean) ** 2).sum() / values.sum()).sqrt()
            offset[c], scale[c] = mean, 1 / deviation
    return offset, scale


class Add(nn.Module):
    """The sum, written over the first of the two, which nothing else reads."""

    def forward(self, a, b):
        return a.add_(b)


class Gate(nn.Module):
    """Each channel of x times the sigmoid of its value in z."""

    def forward(self, x, z):
        return x * torch.sigmoid(z)


class Graph(nn.Module):
    """Layers that read those that they name, and none other than the layer before them where they name none."""

    def __init__(self, modules, sources):
        super().__init__()
        self.layers, self.sources = nn.ModuleList(modules), sources
        self.kept = {source for named in sources for source in named}

    def forward(self, x):
        outputs = {INPUT: x}
        for place, (layer, sources) in enumerate(zip(self.layers, self.sources)):
            x = layer(*[outputs[source] for source in sources]) if sources else layer(x)
            if place in self.kept:
                outputs[place] = x
        return x


def make_model(experiment):
    """A network without branches is an nn.Sequential."""
    shape = [experiment.count("bench", key) for key in ("channels", "height", "width")]
    layers, modules, outputs = experiment.layers(), [], {INPUT: torch.zeros(2, *shape)}
    for place, layer in enumerate(layers):
        inputs = [outputs[source].clone() for source in layer.sources or (place - 1,)]
        modules.append(make_module(experiment, layer, inputs[0]))
        outputs[place] = modules[-1].eval()(*inputs)
    sources = [layer.sources for layer in layers]
    return (Graph(modules, sources) if any(sources) else nn.Sequential(*modules)).train()


def make_module(experiment, layer: Layer, x):
    channels, window = x.shape[1], (layer.kernel, layer.stride, layer.padding)
    if layer.kind == "conv2d":
        return nn.Conv2d(channels, layer.size, *window, groups=layer.groups, bias=layer.bias)
    if layer.kind == "max-pool":
        return nn.MaxPool2d(*window)
    if layer.kind == "average-pool":
        return nn.AvgPool2d(*window)
    if layer.kind == "global-pool":
        return nn.AdaptiveAvgPool2d(1)
    if layer.kind == "add":
        return Add()
    if layer.kind == "gate":
        return Gate()
    if layer.kind == "linear":
        return nn.Linear(channels, layer.size)
    if layer.kind == "batchnorm":
        kind = nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm1d
        epsilon, momentum = (experiment.number("model", f"batchnorm_{key}") for key in ("epsilon", "momentum"))
        running = not experiment.flag("model", "batchnorm_batch_stats_only")
        return kind(channels, epsilon, momentum, track_running_stats=running)
    if layer.kind == "dropout":
        return nn.Dropout(layer.rate)
    if layer.kind == "activation":
        slope = experiment.number("model", "activation_slope")
        return {
            "relu": lambda: nn.ReLU(inplace=True),
            "relu6": lambda: nn.ReLU6(inplace=True),
            "leaky_relu": lambda: nn.LeakyReLU(slope, inplace=True),
            "elu": lambda: nn.ELU(slope, inplace=True),
            "gelu": lambda: nn.GELU(),
            "silu": lambda: nn.SiLU(inplace=True),
        }[experiment.text("model", "activation")]()
    return nn.Flatten()


def make_optimizer(experiment, parameters, capturable, fused=True):
    """fused: in one kernel, which PyTorch has for the CPU since 2.4."""

    def number(key):
        return experiment.number("optimizer", key)

    common = {"lr": number("learning_rate"), "weight_decay": number("weight_decay")}
    if fused:
        common["fused"] = True
    name = experiment.text("optimizer", "name")
    if name == "sgd":
        nesterov = experiment.flag("optimizer", "nesterov")
        return torch.optim.SGD(parameters, momentum=number("momentum"), nesterov=nesterov, **common)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if name not in kinds:
        raise ValueError(f"optimizer.name: expected sgd, adam or adamw, which PyTorch has in its fused form, found {name}")
    betas = (number("beta1"), number("beta2"))
    return kinds[name](parameters, betas=betas, eps=number("epsilon"), capturable=capturable, **common)


def set_arithmetic(precision):
    """What fp32 products are computed in on a GPU; and the fastest of cuDNN's algorithms."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.benchmark = True


class Session:
    def __init__(self, experiment, setup, precision, device):
        set_arithmetic(precision)
        self.setup, self.precision, self.device = setup, precision, torch.device(device)
        self.batch_size = experiment.count("bench", "train_batch")
        vectors = experiment.text("model", "kind") == "mlp"
        self.images = Images(experiment, setup, self.device, vectors)
        model = make_model(experiment).to(self.device)
        if setup.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(experiment, model.parameters(), setup.mode == GRAPH)
        self.model = model
        if setup.mode == COMPILED:
            self.model = torch.compile(model, mode="reduce-overhead" if device == "cuda" else None)
        self.loss = nn.CrossEntropyLoss()
        self.chosen, self.graph = self.images.random_indices(self.batch_size).clone(), None

    def autocast(self):
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def wait(self):
        """For devices that only queue what they are asked to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def step_with(self, chosen):
        x, labels = self.images.batch_of(chosen)
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            loss = self.loss(self.model(x), labels)
        loss.backward()
        self.optimizer.step()

    def step(self):
        chosen = self.images.random_indices(self.batch_size)
        if self.graph:
            self.chosen.copy_(chosen)
            self.graph.replay()
        else:
            self.step_with(chosen)

    def record(self):
        """The whole step as one CUDA graph, after a few on a stream of its own, as PyTorch asks for."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self.step_with(self.chosen)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step_with(self.chosen)
        self.graph = graph

    def train_seconds(self, steps):
        """Of a step; the median. A GPU gets its steps ahead of time, as in training, and is waited for at their end."""
        self.model.train()
        if self.setup.mode == GRAPH and not self.graph:
            self.record()
        for _ in range(WARM_UP_STEPS):
            self.step()
        if self.device.type == "cpu":
            return self.median_seconds(self.step, steps)
        return self.median_seconds(lambda: [self.step() for _ in range(steps)], GPU_REPEATS) / steps

    def evaluate_batch(self, first, size):
        x, labels = self.images.batch_at(first, size)
        with self.autocast():
            y = self.model(x)
        return self.loss(y, labels) * size, (y.argmax(1) == labels).sum()

    def evaluate_images_per_second(self, size, repeats=3):
        """In batches of `size`; the median."""
        self.model.eval()
        starts = range(0, max(EVALUATION_IMAGES, size) - size + 1, size)
        with torch.inference_mode():
            seconds = self.median_seconds(lambda: sum(self.evaluate_batch(i, size)[0] for i in starts), repeats, 1)
        return len(starts) * size / seconds

    def median_seconds(self, body, repeats, warm_up=0):
        times = []
        for i in range(-warm_up, repeats):
            self.wait()
            start = clock()
            body()
            self.wait()
            if i >= 0:
                times.append(clock() - start)
        return statistics.median(times)


def setups(experiment, modes):
    """Those that there is a point in trying: vectors have no channels_last."""
    formats = (False,) if experiment.text("model", "kind") == "mlp" else (False, True)
    return [Setup(last, stored, mode) for last in formats for stored in ("float", "uint8") for mode in modes]


def best_session(experiment, precision, device, modes, evaluation):
    """The fastest in training; with `evaluation` the fastest there and its batch size too, else None and 0. With eager alone, the
    fastest eager."""
    train, evaluate = None, (0, None, 0)
    for setup in setups(experiment, modes):
        session = Session(experiment, setup, precision, device)
        seconds = session.train_seconds(TRIAL_STEPS)
        if train is None or seconds < train[0]:
            train = (seconds, session)
        for size in EVALUATION_BATCHES if evaluation else ():
            images = session.evaluate_images_per_second(size, 1)
            if images > evaluate[0]:
                evaluate = (images, session, size)
    return train[1], evaluate[1], evaluate[2]
