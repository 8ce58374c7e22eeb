"""The network of a config, trained in PyTorch in fp32 on CIFAR-10 with the config's recipe: starts, flips, crops, cutout,
optimizer and schedule. Prints the test accuracy and the seconds of training after each epoch that is asked for, and at the
end the accuracy by six views of each image. A key of the config that this script does not know is an error.

FOLDER holds CIFAR-10's binary files. See scripts/train-in-pytorch."""

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from compare import run_trainer
from session import make_model, make_optimizer, normalization
from speedrun import accuracy, read

# What other keys must be: the script does without them.
EXPECTED = {
    "data": {"dataset": "cifar10", "normalization": "channel", "validation_size": "0"},
    "augment": {"vertical_flip": "false", "rotate": "0", "scale": "0", "resized_crop": "0", "brightness": "0", "contrast": "0",
                "saturation": "0", "erase": "0", "mixup": "0", "cutmix": "0"},
    "model": {"init": "he", "identity_filters": "false", "head_std": "0", "zero_gamma": "false", "init_from": "none", "freeze": "none"},
    "optimizer": {"rates": "none", "decays": "none"},
    "schedule": {"name": "cosine", "warmup_steps": "0"},
    "train": {"label_smoothing": "0", "class_weights": "none", "ema_decay": "0", "clip_norm": "0", "patience": "0"},
}  # fmt: skip


def check_keys(experiment):
    for section, keys in EXPECTED.items():
        for key, expected in keys.items():
            found = experiment.text(section, key)
            if found != expected:
                raise ValueError(f"{section}.{key}: this script knows {expected} alone, found {found}")
    if experiment.text("augment", "flip") == "alternating":
        raise ValueError("augment.flip: this script knows true and false alone, found alternating")


def start(model):
    """He's rule: deviation sqrt(2 / fan_in), biases 0."""
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.weight[0].numel()))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def drawn(count, size):
    return torch.randint(0, size, (count,)).tolist()


def augmented(images, experiment):
    """A copy of a batch (N,C,H,W): mirrored with a probability of one half, moved with its edges mirrored, and with a hole
    whose middle is any pixel."""
    crop, hole = experiment.count("augment", "crop"), experiment.count("augment", "cutout")
    count, size = len(images), images.shape[2]
    if experiment.flag("augment", "flip"):
        images = torch.where((torch.rand(count) < 0.5)[:, None, None, None], images.flip(3), images)
    padded = functional.pad(images, (crop,) * 4, "reflect") if crop else images
    moves = zip(drawn(count, 2 * crop + 1), drawn(count, 2 * crop + 1))
    result = torch.stack([image[:, down:down + size, right:right + size] for image, (down, right) in zip(padded, moves)])
    for image, row, column in zip(result, drawn(count, size), drawn(count, size)) if hole else ():
        top, left = row - hole // 2, column - hole // 2
        image[:, max(top, 0):top + hole, max(left, 0):left + hole] = 0
    return result


class Training:
    def __init__(self, arguments, experiment):
        self.experiment, self.done = experiment, 0
        torch.manual_seed(arguments.seed)
        torch.set_num_threads(arguments.threads)
        pixels, self.labels = read(sorted(arguments.folder.glob("data_batch_*.bin")))
        test, self.test_labels = read([arguments.folder / "test_batch.bin"])
        offset, scale = normalization(pixels, "channel")
        self.images, self.test = ((part.float() - offset) * scale for part in (pixels, test))
        self.network = make_model(experiment)
        start(self.network)
        self.network = self.network.to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(experiment, self.network.parameters(), capturable=False, fused=False)
        self.batch, epochs = experiment.count("train", "batch_size"), experiment.count("train", "epochs")
        self.steps_of_epoch = len(self.images) // self.batch
        self.steps = epochs * self.steps_of_epoch if epochs > 0 else experiment.count("train", "max_steps")
        self.rate = experiment.number("optimizer", "learning_rate")
        self.least = experiment.number("schedule", "minimum")

    def step(self, chosen):
        way = (1 + math.cos(math.pi * self.done / self.steps)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = self.least + (self.rate - self.least) * way
        images = augmented(self.images[chosen], self.experiment).contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(self.network(images), self.labels[chosen]).backward()
        self.optimizer.step()
        self.done += 1

    def epoch(self):
        """An incomplete last batch is left out, as by the trainer."""
        for chosen in torch.randperm(len(self.images)).split(self.batch):
            if len(chosen) == self.batch and self.done < self.steps:
                self.step(chosen)

    def accuracy(self, views):
        return 100 * accuracy(self.network, self.test, self.test_labels, views)

    def parts(self):
        return {"network": self.network, "optimizer": self.optimizer}

    def save(self, path, seconds):
        state = {name: part.state_dict() for name, part in self.parts().items()}
        written = path.with_suffix(".new")
        torch.save({**state, "done": self.done, "random": torch.get_rng_state(), "seconds": seconds}, written)
        written.replace(path)

    def load(self, path):
        """Returns the seconds of training until then."""
        state = torch.load(path)
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        self.done = state["done"]
        return state["seconds"]


def train(arguments, experiment):
    training, seconds, epoch = Training(arguments, experiment), 0.0, 0
    if arguments.keep and arguments.keep.exists():
        seconds = training.load(arguments.keep)
        epoch = training.done // training.steps_of_epoch
    while training.done < training.steps:
        started = time.perf_counter()
        training.epoch()
        seconds += time.perf_counter() - started
        epoch += 1
        if arguments.keep:
            training.save(arguments.keep, seconds)
        if epoch % arguments.every == 0 or training.done == training.steps:
            print(f"epoch {epoch}, step {training.done}: {training.accuracy(1):.2f}%, {seconds:.1f} s", flush=True)
    print(f"six views: {training.accuracy(6):.2f}%")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="train-in-pytorch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="name of a config in configs/, or a file")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=10, metavar="N", help="evaluate after every N epochs, default 10")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="save the training in FILE after each epoch; go on from there")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="set a key; may be repeated")
    parser.add_argument("--trainer", required=True, help="the program, which resolves the config")
    arguments = parser.parse_args()
    arguments.device, arguments.no_evaluation = "cpu", True
    arguments.set.append(f"data.path={arguments.folder}")
    return arguments


def main():
    arguments = parse_arguments()
    try:
        experiment = run_trainer(arguments, arguments.config, "fp32", 1)
        check_keys(experiment)
        train(arguments, experiment)
    except (RuntimeError, ValueError, OSError) as error:
        sys.exit(f"train-in-pytorch: {error}")


if __name__ == "__main__":
    main()
