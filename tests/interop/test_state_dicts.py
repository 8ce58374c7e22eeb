"""State dicts under the names of torchvision and timm, imported and started from. The names and shapes of the real ones
are in state_dicts/; the values are drawn. PyTorch computes the same logits from them (named_networks.py)."""

import os
import unittest

import numpy
import safetensors.numpy

import support
from test_exchange import HERE, ROOT, logits_of, needs_torch, pytorch, write_pictures

SIZE = 64
CONFIGS = {"torchvision_resnet18": "resnet18", "torchvision_resnet50": "resnet50",
           "torchvision_mobilenet_v2": "mobilenet_v2", "timm_mobilenetv2_100": "mobilenet_v2"}


DATA = f"""
[data]
dataset = synthetic
synthetic_train = 8
synthetic_test = 4
synthetic_classes = {{classes}}
synthetic_size = {SIZE}
normalization = channel
[optimizer]
learning_rate = 1e-12
[train]
max_steps = 1
batch_size = 4
[backend]
device = cpu
precision = fp64
"""


@needs_torch
class StateDicts(unittest.TestCase):
    def setUp(self):
        self.folder = support.new_folder(self)

    def path(self, name):
        return os.path.join(self.folder, name)

    def draw(self, name):
        pytorch("draw", os.path.join(HERE, "state_dicts", f"{name}.txt"), self.path("w.safetensors"))
        return self.path("w.safetensors")

    def config(self, name, classes):
        """The [model] of a config, on a few synthetic pictures."""
        with open(os.path.join(ROOT, "configs", f"{name}.ini")) as file:
            model = file.read().split("[model]")[1].split("\n[")[0]
        with open(self.path("small.ini"), "w") as file:
            file.write(f"{DATA.format(classes=classes)}[model]{model}")
        return self.path("small.ini")

    def import_run(self, config, weights, *options):
        support.trainer("import", self.config(config, 10), weights, "--out", self.path("imported"), *options)
        return self.path("imported")

    def expect_logits(self, name, run, weights):
        paths, pixels = write_pictures(self.folder, 3, SIZE, count=3)
        exported = support.trainer("export", run, "--format", "safetensors").strip()
        numpy.save(self.path("pixels.npy"), pixels)
        pytorch("named", name, weights, exported, self.path("pixels.npy"), self.path("out.npy"))
        expected = numpy.load(self.path("out.npy"))
        numpy.testing.assert_allclose(logits_of(run, paths), expected, rtol=1e-5, atol=1e-5)

    def test_logits_of_what_is_imported(self):
        for name, config in CONFIGS.items():
            with self.subTest(name):
                self.folder = support.new_folder(self)
                weights = self.draw(name)
                self.expect_logits(name, self.import_run(config, weights), weights)

    def test_names_of_ones_own(self):
        weights = self.draw("torchvision_resnet18")
        tensors = safetensors.numpy.load_file(weights)
        changed = {f"net.stage_{name}".replace("layer", "part").replace("fc", "out"): tensor for name, tensor in tensors.items()}
        safetensors.numpy.save_file(changed, self.path("changed.safetensors"))
        stages = "".join(f"stage_part{i}.#: downsample.0, downsample.1, conv1, bn1, conv2, bn2\n" for i in range(1, 5))
        with open(self.path("names.txt"), "w") as file:
            file.write(f"stage_conv1\nstage_bn1\n{stages}stage_out\n")
        with self.assertRaisesRegex(AssertionError, "no tensor layers.0.weight"):
            self.import_run("resnet18", self.path("changed.safetensors"))
        run = self.import_run("resnet18", self.path("changed.safetensors"), "--names", self.path("names.txt"))
        self.expect_logits("torchvision_resnet18", run, weights)

    def test_another_network_than_the_config(self):
        with self.assertRaisesRegex(AssertionError, "expected as many modules .* 41, found 107"):
            self.import_run("resnet18", self.draw("torchvision_resnet50"))

    def test_training_from_them_with_other_classes(self):
        weights = self.draw("torchvision_mobilenet_v2")
        said = support.trainer(self.config("mobilenet_v2", 3), "--out", self.path("run"), "--init-from", weights)
        self.assertIn("the last layer starts anew: 10 classes there, 3 here", said)
        made = safetensors.numpy.load_file(weights)
        kept = safetensors.numpy.load_file(support.trainer("export", self.path("run"), "--format", "safetensors").strip())
        first = kept["layers.0.weight"]
        numpy.testing.assert_allclose(first, made["features.0.0.weight"], atol=1e-6)
        convolutions = [tensor for tensor in kept.values() if tensor.ndim == 4]
        numpy.testing.assert_allclose(convolutions[-1].sum(), made["features.18.0.weight"].sum(), rtol=1e-4)


if __name__ == "__main__":
    unittest.main()
