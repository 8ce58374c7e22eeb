"""scripts/from-torchvision on files that are made here as torchvision downloads them, hostile pickles among them. What
it writes is read by the program.

usage: test_from_torchvision.py TRAINER SOURCE_FOLDER
"""

import os
import pickle
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TRAINER, SOURCE = sys.argv.pop(1), Path(sys.argv.pop(1))


def has_numpy(python):
    return Path(python).exists() and subprocess.run([python, "-c", "import numpy"], stderr=subprocess.DEVNULL).returncode == 0


PYTHON = next((python for python in (sys.executable, "/usr/bin/python3") if has_numpy(python)), None)
if PYTHON is None:
    print("no Python with NumPy (Debian: python3-numpy), so nothing is tested")
    sys.exit(77)
if PYTHON != sys.executable:
    os.execv(PYTHON, [PYTHON, "-B", __file__, TRAINER, str(SOURCE), *sys.argv[1:]])

import numpy  # noqa: E402


class Evil:
    """An object whose pickle runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def pictures(count, first):
    return ((numpy.arange(count * 3072) * 7 + first) % 256).astype("u1").reshape(count, 3072)


class FromTorchvision(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def run_script(self, *arguments):
        return subprocess.run([PYTHON, "-B", SOURCE / "scripts/from-torchvision", self.folder, *arguments],
                              capture_output=True, text=True)  # fmt: skip

    def refused(self, words, *arguments):
        result = self.run_script(*arguments)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Afrom-torchvision: .*\n\Z")  # one line
        self.assertIn(words, result.stderr)

    def trained(self, config):
        """The line of `trainer summary` about a config that the script printed."""
        path = self.folder / "run.ini"
        path.write_text(config + "[model]\nkind = mlp\n")
        result = subprocess.run([TRAINER, "summary", path], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.splitlines()[0]

    def write(self, name, content, protocol):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))

    def write_cifar10(self, protocol=2, key=str):
        for i in range(1, 7):
            name = f"data_batch_{i}" if i < 6 else "test_batch"
            batch = {key("data"): pictures(20, i), key("labels"): [(n + i) % 10 for n in range(20)]}
            self.write(f"cifar-10-batches-py/{name}", batch, protocol)
        names = [f"class {i}" for i in range(10)]
        self.write("cifar-10-batches-py/batches.meta", {key("label_names"): names}, protocol)

    def test_cifar10_of_every_protocol(self):
        for protocol in range(6):
            for key in (str, str.encode):
                with self.subTest(protocol=protocol, key=key):
                    self.write_cifar10(protocol, key)
                    result = self.run_script()
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertIn("100 training, 20 test images", result.stdout)
                    self.assertIn("class_names = class 0, class 1,", result.stdout)
                    arrays = numpy.load(self.folder / "cifar10.npz")
                    expected = numpy.concatenate([pictures(20, i) for i in range(1, 6)]).reshape(-1, 3, 32, 32)
                    numpy.testing.assert_array_equal(arrays["x_train"], expected)
                    numpy.testing.assert_array_equal(arrays["y_test"], [(n + 6) % 10 for n in range(20)])
                    self.assertIn("images of 3x32x32, 10 classes", self.trained(result.stdout))

    def test_the_folder_of_the_set_itself(self):
        self.write_cifar10()
        out = self.folder / "out"
        self.folder = self.folder / "cifar-10-batches-py"
        self.assertEqual(self.run_script("-o", out, "--compress").returncode, 0)
        self.assertTrue((out / "cifar10.npz").exists())

    def test_cifar100_fine_and_coarse(self):
        for part, count in (("train", 300), ("test", 100)):
            labels = {"fine_labels": [n % 100 for n in range(count)], "coarse_labels": [n % 20 for n in range(count)]}
            self.write(f"cifar-100-python/{part}", {"data": pictures(count, 1), **labels}, 2)
        self.write("cifar-100-python/meta", {"fine_label_names": [f"f{i}" for i in range(100)],
                                             "coarse_label_names": [f"c{i}" for i in range(20)]}, 2)  # fmt: skip
        for labels, classes in (("fine", 100), ("coarse", 20)):
            result = self.run_script("--labels", labels)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"images of 3x32x32, {classes} classes", self.trained(result.stdout))

    def test_pickles_that_ask_for_anything_else_are_refused_by_name(self):
        mark = self.folder / "mark"
        evil = [pickle.dumps({"data": Evil(f"touch {mark}"), "labels": []}, protocol) for protocol in range(6)]
        evil += [
            b"cbuiltins\neval\n(S'open(\"" + str(mark).encode() + b"\", \"w\")'\ntR.",
            b"cnumpy\nload\n.",
            b"cnumpy.core.multiarray\nfromfile\n.",
            b"c_codecs\nencode\n(Vabc\nVhex\ntR.",
            pickle.dumps({"data": numpy.array([Evil(f"touch {mark}")], dtype=object)}, 2),
        ]
        for content in evil:
            self.write_cifar10()
            self.write("cifar-10-batches-py/data_batch_3", content, 2)
            self.refused("data_batch_3: refused: the pickle ")
            self.assertFalse(mark.exists())
            self.assertFalse((self.folder / "cifar10.npz").exists())
        self.write("cifar-10-batches-py/data_batch_3", evil[1], 2)
        self.refused(f"asks for {os.system.__module__}.system; expected a file of CIFAR")

    def test_damaged_pickles(self):
        for content, words in ((b"", "a damaged pickle"), (b"\x80\x02}", "a damaged pickle"), (b"N.", "expected a dictionary, found NoneType"),
                               ({"data": pictures(3, 1)[:, :100], "labels": [1, 2, 3]}, "expected an array (N, 3072) of bytes"),
                               ({"data": pictures(3, 1).astype("f4"), "labels": [1, 2, 3]}, "expected an array (N, 3072) of bytes"),
                               ({"data": pictures(3, 1), "labels": [1, 2]}, "expected 3 labels, whole numbers from 0"),
                               ({"data": pictures(3, 1), "labels": [1, 2, -1]}, "expected 3 labels, whole numbers from 0"),
                               ({"labels": [1]}, "expected an array (N, 3072) of bytes")):  # fmt: skip
            self.write_cifar10()
            self.write("cifar-10-batches-py/test_batch", content, 2)
            self.refused(words)
        (self.folder / "cifar-10-batches-py/test_batch").unlink()
        self.refused("test_batch: No such file or directory")

    def test_stl10_stands_upright(self):
        generator = numpy.random.default_rng(1)
        image = generator.integers(0, 256, (12, 3, 96, 96), "u1")
        folder = self.folder / "stl10_binary"
        folder.mkdir()
        for part in ("train", "test"):
            image.transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")
            (numpy.arange(12) % 10 + 1).astype("u1").tofile(folder / f"{part}_y.bin")
        (folder / "class_names.txt").write_text("\n".join(f"n{i}" for i in range(10)))
        result = self.run_script()
        self.assertEqual(result.returncode, 0, result.stderr)
        numpy.testing.assert_array_equal(numpy.load(self.folder / "stl10.npz")["x_test"], image)
        self.assertIn("images of 3x96x96, 10 classes", self.trained(result.stdout))
        (folder / "test_y.bin").write_bytes(b"\x0b" * 12)
        (self.folder / "stl10.npz").unlink()
        self.refused("test_y.bin: labels 11 to 11, expected 1 to 10")

    def test_svhn(self):
        try:
            from scipy.io import savemat
        except ImportError:
            self.skipTest("no SciPy")
        images = numpy.random.default_rng(2).integers(0, 256, (32, 32, 3, 20), "u1")
        for part in ("train", "test"):
            savemat(self.folder / f"{part}_32x32.mat", {"X": images, "y": (numpy.arange(20) % 10 + 1)[:, None].astype("u1")})
        result = self.run_script()
        self.assertEqual(result.returncode, 0, result.stderr)
        arrays = numpy.load(self.folder / "svhn.npz")
        numpy.testing.assert_array_equal(arrays["x_train"][7], images[..., 7].transpose(2, 0, 1))
        self.assertEqual(list(arrays["y_train"][:10]), [1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
        self.assertIn("images of 3x32x32, 10 classes", self.trained(result.stdout))

    def test_what_is_read_as_it_is_is_named(self):
        raw = self.folder / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for part in ("train", "t10k"):
            (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 4, 2, 2) + bytes(16))
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 4) + bytes([0, 1, 1, 0]))
        (self.folder / "eurosat" / "2750").mkdir(parents=True)
        result = self.run_script()
        self.assertEqual(result.returncode, 0, result.stderr)
        mnist, eurosat = result.stdout.split("\n\n")[:2]
        self.assertIn("images of 1x2x2, 2 classes", self.trained(mnist + "\n"))
        self.assertIn(f"dataset = folder\npath = {self.folder}/eurosat/2750\ntest_size = 5400", eurosat)
        self.assertEqual(list(self.folder.glob("*.npz")), [])

    def test_nothing_there(self):
        self.refused("no data set found, expected one of cifar-10-batches-py, cifar-100-python, ")
        self.folder = self.folder / "nowhere"
        self.refused("no such folder, expected what torchvision downloaded")


if __name__ == "__main__":
    unittest.main()
