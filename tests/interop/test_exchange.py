"""Networks that the trainer exports, used by onnxruntime, PyTorch and NumPy, and PyTorch's used by the trainer: the scores of
the same pictures agree."""

import atexit
import functools
import json
import os
import subprocess
import sys
import unittest

import numpy
import onnx
import onnxruntime
import safetensors.numpy
from PIL import Image

import support

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# Every kind of layer, window and block order; section.key=value settings over support.CONFIG.
NETWORKS = {
    "convnet": [],
    "odd windows": ["model.features=5k5s2p2, M2s1p1, 7k2s2p0, A3s1p1, 6k1", "model.activation=elu", "model.hidden=9",
                    "model.dropout=0.25", "data.normalization=mean_image"],
    "block order": ["model.features=6, M3, 7", "model.block=activation, dropout, batchnorm", "model.dropout=0.1",
                    "model.activation=leaky_relu", "model.activation_slope=0.2", "data.normalization=unit"],
    "residual": ["model.features=4, (4, 4)+, (6s2, 6)+ x2, G", "model.conv_bias=auto"],
    "gelu": ["model.activation=gelu", "model.hidden=9"],
    "relu6": ["model.activation=relu6"],
    "silu, residual": ["model.activation=silu", "model.features=4, (4, 4)+, G"],
    "residual, bottlenecks": ["model.features=M, (3k1, 3s2, 8k1)+ x2, (8)+, M", "model.conv_bias=false", "model.hidden=9",
                              "model.block=activation, batchnorm, dropout", "model.dropout=0.1"],
    "squeeze-and-excitation": ["model.features=4, S2, (4, 4, S4)+, (6s2, S2, 6, S3)+ x2, G", "model.conv_bias=auto"],
    "down to one pixel": ["model.features=6, M8", "data.normalization=none", "optimizer.learning_rate=1e-5"],
    "grey": ["data.synthetic_channels=1"],
    "perceptron": ["model.kind=mlp", "model.features=", "model.hidden=11, 5", "data.normalization=mean_image"],
    "softmax of its own": ["model.loss=separate"],
    "tape": ["model.batchnorm=autodiff"],
    "moving average": ["train.ema_decay=0.5"],
    "double precision": ["backend.precision=fp64"],
}


def torch_python():
    """A Python that has PyTorch: that of TRAINER_TORCH_PYTHON, this one, or Debian's with python3-torch."""
    for python in (os.environ.get("TRAINER_TORCH_PYTHON"), sys.executable, "/usr/bin/python3"):
        if python and subprocess.run([python, "-c", "import numpy, torch"], capture_output=True).returncode == 0:
            return python
    return None


TORCH = torch_python()
needs_torch = unittest.skipUnless(TORCH, "no PyTorch: set TRAINER_TORCH_PYTHON, or install python3-torch")


@functools.lru_cache(maxsize=None)
def pytorch_process():
    """One for all tests: PyTorch takes long to start."""
    process = subprocess.Popen([TORCH, os.path.join(HERE, "pytorch_network.py")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)
    return process


def pytorch(*arguments):
    process = pytorch_process()
    print(json.dumps(arguments), file=process.stdin, flush=True)
    if process.stdout.readline() != "done\n":
        raise AssertionError(f"pytorch_network.py {arguments} failed")


def write_pictures(folder, channels, size, count=7):
    """Random pictures as PNG files, and their pixels (N,C,H,W)."""
    pixels = numpy.random.default_rng(1).integers(0, 256, (count, size, size, channels), dtype=numpy.uint8)
    paths = [os.path.join(folder, f"{i}.png") for i in range(count)]
    for path, image in zip(paths, pixels):
        Image.fromarray(image.squeeze()).save(path)
    return paths, pixels.transpose(0, 3, 1, 2)


def is_double(run):
    with open(os.path.join(run, "resolved.ini")) as file:
        return "precision = fp64" in file.read()


def logits_of(run, paths):
    answer = json.loads(support.trainer("predict", run, "--json", *paths))
    return numpy.array([prediction["logits"] for prediction in answer["predictions"]])


class Exchange(unittest.TestCase):
    def setUp(self):
        self.folder = support.new_folder(self)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_with_logits(self, settings):
        run = support.train(self.folder, *settings)
        channels = 1 if "data.synthetic_channels=1" in settings else 3
        paths, pixels = write_pictures(self.folder, channels, 8)
        return run, paths, pixels, logits_of(run, paths)

    def agree(self, found, expected):
        numpy.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    def with_each_network(self, check):
        for name, settings in NETWORKS.items():
            with self.subTest(name):
                self.folder = support.new_folder(self)
                check(*self.run_with_logits(settings))

    def test_onnx(self):
        def check(run, _, pixels, expected):
            path = support.trainer("export", run, "--format", "onnx").strip()
            onnx.checker.check_model(path, full_check=True)
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            logits, probabilities = session.run(None, {"images": pixels.astype(numpy.float32)})
            self.agree(logits, expected)
            exponentials = numpy.exp(expected - expected.max(1, keepdims=True))
            self.agree(probabilities, exponentials / exponentials.sum(1, keepdims=True))

        self.with_each_network(check)

    @needs_torch
    def test_safetensors_in_pytorch(self):
        def check(run, _, pixels, expected):
            if is_double(run):
                return  # exported as it is, in double precision
            path = support.trainer("export", run, "--format", "safetensors").strip()
            numpy.save(self.path("pixels.npy"), pixels)
            pytorch("logits", os.path.join(run, "resolved.ini"), path, self.path("pixels.npy"), self.path("out.npy"))
            self.agree(numpy.load(self.path("out.npy")), expected)

        self.with_each_network(check)

    def test_npz_holds_what_safetensors_holds(self):
        def check(run, *_):
            arrays = numpy.load(support.trainer("export", run, "--format", "npz").strip())
            tensors = safetensors.numpy.load_file(support.trainer("export", run, "--format", "safetensors").strip())
            self.assertEqual(sorted(arrays.files), sorted(tensors))
            for name, tensor in tensors.items():
                self.assertEqual(arrays[name].dtype, tensor.dtype)
                numpy.testing.assert_array_equal(arrays[name], tensor)

        self.with_each_network(check)

    @needs_torch
    def test_pytorch_imported(self):
        def check(run, paths, pixels, _):
            config, weights, imported = os.path.join(run, "resolved.ini"), self.path("w.safetensors"), self.path("imported")
            pytorch("create", config, pixels.shape[1], 8, 8, 3, weights)
            support.trainer("import", config, weights, "--output", imported)
            exported = support.trainer("export", imported, "--format", "safetensors").strip()
            numpy.save(self.path("pixels.npy"), pixels)
            if not is_double(run):
                pytorch("logits", config, exported, self.path("pixels.npy"), self.path("out.npy"))
                self.agree(logits_of(imported, paths), numpy.load(self.path("out.npy")))
            made, kept = safetensors.numpy.load_file(weights), safetensors.numpy.load_file(exported)
            for name in made:
                if not name.endswith("num_batches_tracked"):
                    numpy.testing.assert_array_equal(made[name], kept[name].astype(numpy.float32))

        self.with_each_network(check)

    def small_convnet_ini(self):
        """configs/convnet.ini on a few synthetic images: the path of its run, the code of docs/using-a-model.md, and pictures."""
        settings = ["data.dataset=synthetic", "data.synthetic_train=64", "data.synthetic_test=32", "data.synthetic_classes=10",
                    "data.synthetic_size=32", "train.max_steps=2", "train.eval_freq=2", "backend.device=cpu"]
        support.trainer(os.path.join(ROOT, "configs", "convnet.ini"), "--out", self.path("run"), "--quiet",
                        *[f"--set={setting}" for setting in settings])
        with open(os.path.join(ROOT, "docs", "using-a-model.md")) as file:
            (code,) = [block.split("```")[0] for block in file.read().split("```python\n") if "class Network" in block]
        with open(self.path("recipe.py"), "w") as file:
            file.write(code)
        paths, pixels = write_pictures(self.folder, 3, 32)
        numpy.save(self.path("pixels.npy"), pixels)
        return self.path("run"), paths

    @needs_torch
    def test_recipe_of_the_docs_for_convnet_ini(self):
        run, paths = self.small_convnet_ini()
        weights = support.trainer("export", run, "--format", "safetensors").strip()
        pytorch("recipe", self.path("recipe.py"), weights, self.path("pixels.npy"), self.path("out.npy"))
        self.agree(numpy.load(self.path("out.npy")), logits_of(run, paths))

    @needs_torch
    def test_plain_sequential_with_a_flatten_in_half_precision(self):
        run, paths = self.small_convnet_ini()
        pytorch("plain", self.path("recipe.py"), self.path("plain.safetensors"))
        support.trainer("import", os.path.join(run, "resolved.ini"), self.path("plain.safetensors"), "--output",
                        self.path("imported"))
        weights = support.trainer("export", self.path("imported"), "--format", "safetensors").strip()
        made, kept = safetensors.numpy.load_file(self.path("plain.safetensors")), safetensors.numpy.load_file(weights)
        numpy.testing.assert_array_equal(made["31.weight"].astype(numpy.float32), kept["layers.30.weight"])
        pytorch("recipe", self.path("recipe.py"), weights, self.path("pixels.npy"), self.path("out.npy"))
        self.agree(numpy.load(self.path("out.npy")), logits_of(self.path("imported"), paths))

    def test_exported_and_imported_evaluates_the_same(self):
        def check(run, *_):
            weights = support.trainer("export", run, "--format", "safetensors").strip()
            support.trainer("import", os.path.join(run, "resolved.ini"), weights, "--output", self.path("imported"))
            first, second = (json.loads(support.trainer("eval", r, "--json")) for r in (run, self.path("imported")))
            for key in ("loss", "accuracy", "confusion", "images"):
                self.assertEqual(first[key], second[key])

        self.with_each_network(check)

    def test_import_names_what_does_not_fit(self):
        run, *_ = self.run_with_logits([])
        weights = support.trainer("export", run, "--format", "safetensors").strip()
        tensors = safetensors.numpy.load_file(weights)
        cases = {"layers.0.weight: expected the shape (4,3,3,3), found (4,3,3,2)": {"layers.0.weight": tensors["layers.0.weight"][..., :2].copy()},
                 "no tensor layers.1.running_var": {"layers.1.running_var": None},
                 "found also layers.77.weight": {"layers.77.weight": numpy.zeros(3, numpy.float32)}}
        for part, change in cases.items():
            changed = {name: value for name, value in {**tensors, **change}.items() if value is not None}
            safetensors.numpy.save_file(changed, self.path("changed.safetensors"))
            with self.assertRaisesRegex(AssertionError, part.replace("(", r"\(").replace(")", r"\)")):
                support.trainer("import", os.path.join(run, "resolved.ini"), self.path("changed.safetensors"), "--output",
                                self.path("imported"))
            self.assertFalse(os.path.exists(self.path("imported/checkpoints/best.safetensors")))


if __name__ == "__main__":
    unittest.main()
