"""The recipe of configs/speedrun.ini in PyTorch: the same network, starts, augmentation, optimizers and schedule, in fp32.
Prints the accuracy and the seconds of training after each epoch, and at the end the accuracy by six views of each image.

FOLDER holds CIFAR-10's binary files. With --trainer PROGRAM nothing is trained: training steps of PyTorch and of the
program take turns, and the medians of their speeds are printed. See scripts/compare-speedrun."""

import argparse
import re
import statistics
import subprocess
import time
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional

BATCH, SMOOTHING, CROP, WHITENING_IMAGES = 2000, 0.2, 2, 5000
FILTER_RATE, BIAS_RATE, HEAD_RATE, MOMENTUM, NEWTON_SCHULZ = 0.24, 0.053, 0.67, 0.85, 3
DECAY = 2e-6 * BATCH  # times a group's learning rate


def read(paths):
    records = numpy.concatenate([numpy.fromfile(path, numpy.uint8) for path in paths]).reshape(-1, 3073)
    return torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(records[:, 0].astype(numpy.int64))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.whitening = nn.Conv2d(3, 24, 2)
        self.whitening.weight.requires_grad_(False)
        convolutions, norms = [], []
        for channels, outputs in ((24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256)):
            convolutions.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=False))
            nn.init.dirac_(convolutions[-1].weight.data[:channels])
            norms.append(nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4))
            norms[-1].weight.requires_grad_(False)
        self.convolutions, self.norms = nn.ModuleList(convolutions), nn.ModuleList(norms)
        self.head = nn.Linear(256, 10, bias=False)
        self.head.weight.data /= self.head.weight.data.std()

    def forward(self, x):
        x = functional.gelu(self.whitening(x))
        for place, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            x = convolution(x)
            if place % 2 == 0:
                x = functional.max_pool2d(x, 2)
            x = functional.gelu(norm(x))
        return self.head(functional.max_pool2d(x, 3).flatten(1)) / 256

    def whiten(self, images):
        patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.flip(0).reshape(12, 3, 2, 2).float()
        self.whitening.weight.data.copy_(torch.cat([filters, -filters]))


class Muon(torch.optim.Optimizer):
    """With filters kept at the norm sqrt(outputs)."""

    def __init__(self, filters):
        super().__init__(filters, {"lr": FILTER_RATE})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                buffer = self.state[w].setdefault("momentum", torch.zeros_like(w))
                buffer.mul_(0.6).add_(w.grad)
                x = (w.grad + 0.6 * buffer).flatten(1)
                x = x / x.norm().clamp(min=1e-7)
                for _ in range(NEWTON_SCHULZ):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
                w.mul_(len(w) ** 0.5 / w.norm()).add_(x.reshape(w.shape), alpha=-group["lr"])


def augmented(images, epoch, first_flips):
    """The training set of an epoch: mirrored in every second one, moved by up to two pixels."""
    flips = first_flips ^ (epoch % 2 == 1)
    images = torch.where(flips[:, None, None, None], images.flip(3), images)
    padded = functional.pad(images, (CROP,) * 4, "reflect")
    moves = torch.randint(0, 2 * CROP + 1, (len(images), 2))
    result = torch.empty_like(images)
    for down in range(2 * CROP + 1):
        for right in range(2 * CROP + 1):
            chosen = (moves == torch.tensor([down, right])).all(1)
            result[chosen] = padded[chosen, :, down:down + 32, right:right + 32]
    return result


def accuracy(network, images, labels, views):
    network.eval()
    right = 0
    with torch.inference_mode():
        for x, y in zip(images.split(2000), labels.split(2000)):
            right += int((scores(network, x, views).argmax(1) == y).sum())
    network.train()
    return right / len(labels)


def scores(network, x, views):
    if views == 1:
        return network(x)
    mirrored = lambda image: network(image) + network(image.flip(3))
    padded = functional.pad(x, (1,) * 4, "reflect")
    return mirrored(x) + (mirrored(padded[:, :, :32, :32]) + mirrored(padded[:, :, 2:, 2:])) / 2


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="autocast to bf16; with --trainer: also that, beside fp32")
    parser.add_argument("--contiguous", action="store_true", help="memory format; default: channels_last")
    parser.add_argument("--trainer", metavar="PROGRAM", help="measure the speeds of both instead")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each, default 3")
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn, default 5")
    return parser.parse_args()


class Training:
    def __init__(self, arguments, bf16):
        self.bf16 = bf16
        torch.manual_seed(arguments.seed)
        torch.set_num_threads(arguments.threads)
        self.form = torch.contiguous_format if arguments.contiguous else torch.channels_last
        pixels, self.labels = read(sorted(arguments.folder.glob("data_batch_*.bin")))
        test, self.test_labels = read([arguments.folder / "test_batch.bin"])
        mean, deviation = (f(pixels.double(), (0, 2, 3))[:, None, None].float() for f in (torch.mean, torch.std))
        self.images, self.test = ((part.float() - mean) / deviation for part in (pixels, test))
        self.network = Network()
        self.network.whiten(self.images[:WHITENING_IMAGES])
        self.network = self.network.to(memory_format=self.form)
        self.steps, self.done = arguments.epochs * (len(self.images) // BATCH), 0
        self.first_flips = torch.rand(len(self.images)) < 0.5
        self.optimizers = self.make_optimizers()
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]

    def make_optimizers(self):
        network = self.network
        biases = [network.whitening.bias, *(norm.bias for norm in network.norms)]
        rest = [{"params": biases, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
                {"params": [network.head.weight], "lr": HEAD_RATE, "weight_decay": DECAY / HEAD_RATE}]
        return (Muon([convolution.weight for convolution in network.convolutions]),
                torch.optim.SGD(rest, momentum=MOMENTUM, nesterov=True, fused=True))

    def step(self, images, labels):
        for optimizer, rates in zip(self.optimizers, self.rates):
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * (1 - self.done / self.steps)
            optimizer.zero_grad(set_to_none=True)
        x = images.contiguous(memory_format=self.form)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            scores = self.network(x)
        functional.cross_entropy(scores.float(), labels, label_smoothing=SMOOTHING, reduction="sum").backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self.done += 1

    def epoch(self, number, limit=None):
        """`limit`: steps, where they are less than an epoch's."""
        changed = augmented(self.images, number, self.first_flips)
        batches = torch.randperm(len(self.images)).split(BATCH)
        for chosen in [batch for batch in batches if len(batch) == BATCH][:limit]:
            self.step(changed[chosen], self.labels[chosen])

    def accuracy(self, views):
        return 100 * accuracy(self.network, self.test, self.test_labels, views)


def train(arguments):
    training, seconds = Training(arguments, arguments.bf16), 0.0
    for number in range(arguments.epochs):
        started = time.perf_counter()
        training.epoch(number)
        seconds += time.perf_counter() - started
        print(f"epoch {number + 1}: {training.accuracy(1):.2f}%, {seconds:.1f} s", flush=True)
    print(f"six views: {training.accuracy(6):.2f}%")


def measure_trainer(arguments):
    config = Path(__file__).resolve().parents[2] / "configs/speedrun.ini"
    command = [arguments.trainer, "bench", config, "--steps", str(arguments.steps), "--set", f"data.path={arguments.folder}",
               "--set", f"backend.threads={arguments.threads}"]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(re.search(r"^training +([\d.]+) images/s", text, re.MULTILINE)[1])


def measure_pytorch(training, arguments):
    """Without the augmentation, which is a hundredth of an epoch's time."""
    images, labels = training.images[:BATCH], training.labels[:BATCH]
    training.step(images, labels)
    started = time.perf_counter()
    for _ in range(arguments.steps):
        training.step(images, labels)
    return arguments.steps * BATCH / (time.perf_counter() - started)


def compare(arguments):
    """The trainer in its config's precision, PyTorch in fp32, and in bf16 where that is asked for."""
    names = ["PyTorch", "PyTorch in bf16"][: 1 + arguments.bf16]
    trainings, ours, theirs = [Training(arguments, bf16) for bf16 in (False, True)[: len(names)]], [], [[] for _ in names]
    for number in range(arguments.rounds):
        ours.append(measure_trainer(arguments))
        for training, speeds in zip(trainings, theirs):
            speeds.append(measure_pytorch(training, arguments))
        said = ", ".join(f"{name} {speeds[-1]:.1f}" for name, speeds in zip(names, theirs))
        print(f"round {number + 1}: trainer {ours[-1]:.1f}, {said} images/s", flush=True)
    for name, speeds in zip(names, theirs):
        own, its = statistics.median(ours), statistics.median(speeds)
        print(f"medians: trainer {own:.1f}, {name} {its:.1f} images/s, ratio {own / its:.2f}")


if __name__ == "__main__":
    arguments = parse_arguments()
    (compare if arguments.trainer else train)(arguments)
