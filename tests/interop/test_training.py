"""scripts/pytorch/training.py trains the network of a config in PyTorch, goes on where it was, and refuses what it does not
know."""

import os
import re
import subprocess
import sys
import unittest

import support
from test_exchange import HERE, TORCH, needs_torch

sys.path.insert(0, os.path.join(HERE, "equivalence"))
import images  # noqa: E402

SCRIPT = os.path.join(HERE, "..", "..", "scripts", "pytorch", "training.py")
CONFIG = """
[data]
dataset = cifar10
normalization = channel
[augment]
flip = true
crop = 2
cutout = 3
[model]
kind = convnet
features = 8, M, (8, 8)+, (16s2, 16)+, G
batchnorm = custom
conv_bias = auto
init = he
[optimizer]
name = sgd
learning_rate = 0.1
momentum = 0.9
nesterov = true
[schedule]
name = cosine
[train]
max_steps = 60
batch_size = 14
"""


class Training(unittest.TestCase):
    def setUp(self):
        self.folder = support.new_folder(self)
        self.data, self.config = os.path.join(self.folder, "data"), os.path.join(self.folder, "tiny.ini")
        images.write_cifar10(self.data, *images.make_set(*images.SHAPES["cifar10"]))
        with open(self.config, "w") as file:
            file.write(CONFIG)

    def train(self, *options):
        program = [TORCH, "-B", SCRIPT, self.config, self.data, "--trainer", os.environ["TRAINER"], "--threads", "1"]
        return subprocess.run([*program, *options], capture_output=True, text=True, timeout=300)

    def trained(self, *options):
        """The epochs and steps of the lines, and the accuracies of one and of six views at the end."""
        done = self.train(*options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = re.findall(r"^epoch (\d+), step (\d+): ([\d.]+)%, [\d.]+ s$", done.stdout, re.MULTILINE)
        views = re.search(r"^six views: ([\d.]+)%$", done.stdout, re.MULTILINE)
        return [(int(epoch), int(step)) for epoch, step, _ in lines], [accuracy for *_, accuracy in lines], float(views[1])

    @needs_torch
    def test_it_learns_and_goes_on(self):
        kept = ["--keep", os.path.join(self.folder, "kept")]
        places, accuracies, views = self.trained("--every", "3", *kept)
        self.assertEqual(places, [(3, 45), (4, 60)])
        self.assertGreater(views, 50)
        self.assertEqual(self.trained(*kept), ([], [], views))
        self.assertEqual(self.trained("--every", "3"), (places, accuracies, views))

    @needs_torch
    def test_epochs_may_be_given_for_steps(self):
        self.assertEqual(self.trained("--every", "1", "--set", "train.epochs=2")[0], [(1, 15), (2, 30)])

    @needs_torch
    def test_unknown_keys_are_refused(self):
        for key, value in (("augment.mixup", "0.2"), ("schedule.warmup_steps", "3"), ("augment.flip", "alternating"),
                           ("optimizer.name", "muon")):
            done = self.train("--set", f"{key}={value}")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f"^train-in-pytorch: {key}: .*{value}")


if __name__ == "__main__":
    unittest.main()
