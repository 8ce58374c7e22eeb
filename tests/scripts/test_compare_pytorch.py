"""scripts/pytorch without PyTorch: what is read from a config, that the two take turns, and the table.

usage: test_compare_pytorch.py TRAINER SOURCE_FOLDER
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

TRAINER, SOURCE = sys.argv.pop(1), Path(sys.argv.pop(1))
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "scripts" / "pytorch"))

import compare  # noqa: E402
from experiment import INPUT, Experiment, Layer, feature, shape_after, split_features  # noqa: E402


def bench(config, *settings):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "bench.ini")
        overrides = [word for setting in ("backend.device=cpu", *settings) for word in ("--set", setting)]
        subprocess.run([TRAINER, "bench", SOURCE / "configs" / f"{config}.ini", "--steps", "1", "--out", out, *overrides],
                       check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        return Experiment(out.read_text())


def useful_taps(size, layer):
    outputs = (size + 2 * layer.padding - layer.kernel) // layer.stride + 1
    starts = [i * layer.stride - layer.padding for i in range(outputs)]
    return sum(0 <= start + k < size for start in starts for k in range(layer.kernel))


def flops(experiment):
    """Of every convolution and linear layer forward, as the network that this side builds has them."""
    shapes = {INPUT: tuple(experiment.count("bench", key) for key in ("channels", "height", "width"))}
    batch, found = experiment.count("bench", "train_batch"), []
    for place, layer in enumerate(experiment.layers()):
        read = [shapes[source] for source in layer.sources or (place - 1,)]
        channels, height, width = read[0]
        shapes[place] = read[0]
        if layer.kind == "add" and read[0] != read[1]:
            raise ValueError(f"a sum of {read[0]} and {read[1]}")
        if layer.kind == "flatten":
            shapes[place] = (channels * height * width, 1, 1)
        elif layer.kind == "linear":
            found.append(2 * channels * layer.size * batch)
            shapes[place] = (layer.size, 1, 1)
        elif layer.kind == "conv2d":
            found.append(2 * useful_taps(height, layer) * useful_taps(width, layer) * channels // layer.groups * layer.size * batch)
        if layer.kind in ("conv2d", "max-pool", "average-pool", "global-pool"):
            shapes[place] = shape_after(layer, read[0])
    return found


class TheSameNetwork(unittest.TestCase):
    def test_features(self):
        self.assertEqual(feature("64"), Layer("conv2d", 64, 3, 1, 1))
        self.assertEqual(feature("256k5s2p1"), Layer("conv2d", 256, 5, 2, 1))
        self.assertEqual(feature("64k5g16"), Layer("conv2d", 64, 5, 1, 2, 16))
        self.assertEqual(feature("8p0"), Layer("conv2d", 8, 3, 1, 0))
        self.assertEqual(feature("M"), Layer("max-pool", 0, 3, 2, 1))
        self.assertEqual(feature("M2"), Layer("max-pool", 0, 2, 2, 0))
        self.assertEqual(feature("G"), Layer("global-pool"))
        self.assertEqual(feature("A"), Layer("average-pool", 0, 1, 1, 0))
        self.assertEqual(feature("A4s2p1"), Layer("average-pool", 0, 4, 2, 1))
        with self.assertRaisesRegex(ValueError, '"X9"'):
            feature("X9")

    def test_entries(self):
        self.assertEqual(split_features("16, (16, 16)+ x3,M2,(8)+"), ["16", "(16, 16)+ x3", "M2", "(8)+"])

    def test_layers_do_the_same_work(self):
        blocks = "model.features=6k7s2, M, (6, 6)+ x2, (8s2, 4k1, 8)+ x2, A2, (8)+, G"
        inverted = "model.features=6s2, (6g6, 4k1)+, (24k1, 24s2g24, 4k1)+ x2, G"
        gated = "model.features=6, S2, (6, S3, 6, S2)+ x2, (8s2, 8, S8)+, G"
        for config, settings in (("mlp_best", ()), ("convnet", ("model.features=5, M, 4k5s2p0, A2", "model.hidden=9")),
                                 ("resnet20", (blocks,)), ("resnet20", (blocks, "model.batchnorm=none")),
                                 ("resnet20", (blocks, "model.residual=preactivation", "model.head_dropout=0.1")),
                                 ("resnet20", (inverted, "model.residual=linear")), ("resnet20", (gated,)),
                                 ("resnet20", (gated, "model.residual=preactivation"))):
            with self.subTest(config=config):
                experiment = bench(config, "train.batch_size=3", *settings)
                parts = [s for s in experiment.keys.sections() if s.startswith("part ")]
                counted = [experiment.number(part, "forward_flops") for part in parts]
                self.assertEqual(flops(experiment), [count for count in counted if count > 0])

    def test_residual_blocks(self):
        experiment = bench("resnet20", "train.batch_size=1", "model.features=(3)+, (4s2)+", "model.hidden=")
        layers = experiment.layers()
        self.assertEqual([layer.kind for layer in layers],
                         ["conv2d", "batchnorm", "add", "activation", *["conv2d", "batchnorm"] * 2, "add", "activation",
                          "flatten", "linear"])  # fmt: skip
        self.assertEqual(layers[0], Layer("conv2d", 3, 3, 1, 1, bias=False, sources=(INPUT,)))
        self.assertEqual(layers[2].sources, (1, INPUT))
        self.assertEqual(layers[4], Layer("conv2d", 4, 1, 2, 0, bias=False, sources=(3,)))
        self.assertEqual(layers[6], Layer("conv2d", 4, 3, 2, 1, bias=False, sources=(3,)))
        self.assertEqual(layers[8].sources, (7, 5))

    def test_squeeze_and_excitation(self):
        experiment = bench("resnet20", "train.batch_size=1", "model.features=(3, S3)+, G", "model.hidden=")
        layers = experiment.layers()
        self.assertEqual([layer.kind for layer in layers],
                         ["conv2d", "batchnorm", "global-pool", "conv2d", "activation", "conv2d", "gate", "add", "activation",
                          "global-pool", "flatten", "linear"])  # fmt: skip
        self.assertEqual((layers[3], layers[5]), (Layer("conv2d", 1), Layer("conv2d", 3)))
        self.assertEqual((layers[6].sources, layers[7].sources), ((1, 5), (6, INPUT)))

    def test_preactivation_behind_squeeze_and_excitation(self):
        settings = ("model.features=4, (4, S2, 4)+, G", "model.residual=preactivation", "model.conv_bias=auto")
        layers = bench("resnet20", "train.batch_size=1", "model.hidden=", *settings).layers()
        self.assertEqual([layer.kind for layer in layers[3:12]],
                         ["conv2d", "global-pool", "conv2d", "activation", "conv2d", "gate", "batchnorm", "activation", "conv2d"])
        self.assertTrue(layers[3].bias)

    def test_biases(self):
        for setting, expected in (("true", True), ("false", False), ("auto", False)):
            experiment = bench("resnet20", "train.batch_size=1", "model.features=3, G", f"model.conv_bias={setting}")
            self.assertIs(experiment.layers()[0].bias, expected)
        experiment = bench("resnet20", "train.batch_size=1", "model.features=3, G", "model.block=activation, batchnorm, dropout")
        self.assertIs(experiment.layers()[0].bias, True)

    def test_blocks_follow_the_config(self):
        experiment = bench("mlp_best", "train.batch_size=2", "model.hidden=3")
        kinds = [layer.kind for layer in experiment.layers()]
        self.assertEqual(kinds, ["flatten", "linear", "activation", "batchnorm", "dropout", "linear"])
        experiment = bench("mlp_best", "train.batch_size=2", "model.hidden=3", "model.batchnorm=none", "model.dropout=0")
        self.assertEqual([layer.kind for layer in experiment.layers()], ["flatten", "linear", "activation", "linear"])


class StandIn:
    """Of a PyTorch session: 2 seconds a step of 8 images, and 6 images a second in evaluation."""

    setup = "some setup"

    def __init__(self, calls):
        self.calls = calls

    def train_seconds(self, steps):
        self.calls.append(f"theirs {steps}")
        return 2.0

    def evaluate_images_per_second(self, size):
        self.calls.append(f"theirs, batches of {size}")
        return 6.0

    def best_session(self, _experiment, _precision, _device, _modes, evaluation):
        return (self, self, 64) if evaluation else (self, None, 0)


class TakingTurns(unittest.TestCase):
    def setUp(self):
        self.calls, self.speeds = [], iter([1, 8, 12, 10])
        compare.SETTLE_SECONDS = 0

    def run_trainer(self, arguments, config, precision, steps):
        self.calls.append(f"ours {steps}")
        return Experiment(f"[bench]\ntrain_batch = 8\nevaluate_batch = 32\nevaluate_images_per_second = 3\n"
                          f"train_images_per_second = {next(self.speeds)}\n")  # fmt: skip

    def compare(self, *words):
        arguments = compare.parse_arguments(["--rounds", "3", "--steps", "7", "--threads", "2", *words])
        stand_in = StandIn(self.calls)
        with mock.patch.object(compare, "run_trainer", self.run_trainer), mock.patch("sys.stderr"):
            found = compare.compare(arguments, "convnet", "fp32", ("eager",), stand_in.best_session)
        return arguments, found

    def test_order(self):
        self.compare()
        self.assertEqual(self.calls, ["ours 1", *["ours 7", "theirs 7", "theirs, batches of 64"] * 3])

    def test_training_alone(self):
        arguments, found = self.compare("--no-evaluation")
        self.assertEqual(self.calls, ["ours 1", *["ours 7", "theirs 7"] * 3])
        self.assertNotIn("evaluation", compare.report(arguments, [found], "cpu, 2 threads", "9.9"))

    def test_table(self):
        arguments, found = self.compare()
        text = compare.report(arguments, [found], "cpu, 2 threads", "9.9")
        self.assertIn(", 2 threads. trainer: cpu, 2 threads. PyTorch 9.9.\nMedians of 3 rounds", text)
        self.assertIn("| convnet | fp32 | training | 8 / 8 | 10 (8 - 12) | 4 (4 - 4) | 2.50 | some setup |\n", text)
        self.assertIn("| convnet | fp32 | evaluation | 32 / 64 | 3 (3 - 3) | 6 (6 - 6) | 0.50 | some setup |\n", text)


class ProcessorTime(unittest.TestCase):
    def arguments(self, *words):
        return compare.parse_arguments(["--processor-time", "--trainer", TRAINER, "--rounds", "2", *words])

    def test_of_a_step(self):
        experiment = bench("resnet20", "train.batch_size=16")
        settings = ["--steps", "3", "--set", "train.batch_size=16", "--set", "model.features=32, (32, 32)+, G"]
        seconds = compare.processor_seconds(self.arguments(*settings), "resnet20", "fp32", experiment)
        self.assertGreater(seconds, 1e-4)
        with self.assertRaisesRegex(RuntimeError, "train.batch_size: expected"):
            arguments = self.arguments("--set", "train.batch_size=0")
            compare.processor_seconds(arguments, "resnet20", "fp32", experiment)

    def test_training_alone(self):
        arguments, calls = self.arguments("--steps", "7"), []
        stand_in, experiment = StandIn(calls), Experiment("[bench]\ntrain_batch = 8\nevaluate_batch = 32\n")
        with mock.patch.object(compare, "run_trainer", lambda *_: experiment), mock.patch("sys.stderr"), \
             mock.patch.object(compare, "user_seconds", lambda *words: words[-1] * 0.5 + 3):
            found = compare.compare(arguments, "convnet", "fp32", ("eager",), stand_in.best_session)
        text = compare.report(arguments, [found], "cpu, 1 thread", "9.9")
        self.assertEqual(calls, ["theirs 7"] * 2)
        self.assertIn("Seconds are processor time.", text)
        self.assertIn("| convnet | fp32 | training | 8 / 8 | 16 (16 - 16) | 4 (4 - 4) | 4.00 | some setup |\n", text)
        self.assertNotIn("evaluation", text)


class TheCommandLine(unittest.TestCase):
    def test_errors_of_the_trainer_are_passed_on(self):
        arguments = compare.parse_arguments(["--trainer", TRAINER, "--set", "train.batch_size=0"])
        with self.assertRaisesRegex(RuntimeError, "train.batch_size: expected"):
            compare.run_trainer(arguments, "convnet", "fp32", 1)

    def test_help_needs_no_pytorch(self):
        script = SOURCE / "scripts" / "compare-pytorch"
        done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--rounds", done.stdout)

    def test_python_without_pytorch(self):
        script = SOURCE / "scripts" / "compare-pytorch"
        environment = {**os.environ, "TRAINER_TORCH_PYTHON": "/bin/false"}
        done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "compare-pytorch: TRAINER_TORCH_PYTHON=/bin/false has no PyTorch\n")


if __name__ == "__main__":
    unittest.main()
