"""A folder of pictures trains as the same pictures do that Pillow has read and that lie in CIFAR-10's layout: the metrics have
the same digits. TRAINER_CIFAR_FOLDER names a folder of all of CIFAR-10 as pictures (train/ and test/, a folder per class), which is
then compared too."""

import glob
import os
import unittest

import numpy
from PIL import Image

import fitted
import support

SIDE = 32
CLASSES = ["10", "2", "ant \u00e9", "bee"]
KINDS = [("RGB", "png", {}), ("RGB", "jpg", {"quality": 90}), ("RGBA", "png", {}), ("L", "png", {}), ("P", "png", {}),
         ("RGB", "JPEG", {"quality": 60, "progressive": True}), ("CMYK", "jpeg", {}), ("LA", "PNG", {})]


def draw(random, label, mode):
    """A picture with the colour of its class and noise, of one of Pillow's modes."""
    shape = (SIDE, SIDE, 3)
    pixels = numpy.clip(60 * label + 30 + random.normal(0, 40, shape), 0, 255).astype(numpy.uint8)
    image = Image.fromarray(pixels)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(random.integers(0, 256, (SIDE, SIDE), dtype=numpy.uint8)))
    return image.convert(mode)


def make(folder, random):
    for part, count in (("train", 60), ("test", 24)):
        for label, name in enumerate(CLASSES):
            os.makedirs(f"{folder}/{part}/{name}/sub")
            for i in range(count // len(CLASSES)):
                mode, ending, options = KINDS[i % len(KINDS)]
                below = "sub/" if i % 5 == 0 else ""
                draw(random, label, mode).save(f"{folder}/{part}/{name}/{below}{i}.{ending}", **options)


def records(folder):
    """The pictures of a part in the order of classes and of the bytes of paths, as records of CIFAR-10's layout."""
    for label, name in enumerate(sorted(os.listdir(folder), key=os.fsencode)):
        paths = [path for path in glob.glob(f"{glob.escape(folder)}/{glob.escape(name)}/**/*", recursive=True) if os.path.isfile(path)]
        for path in sorted(paths, key=os.fsencode):
            yield bytes([label]) + fitted.planes(path, 3, SIDE, SIDE, "crop", (255, 255, 255)).tobytes()


def write_layout(folder, out):
    os.makedirs(out)
    train = list(records(f"{folder}/train"))
    size = -(-len(train) // 5)
    for i in range(5):
        with open(f"{out}/data_batch_{i + 1}.bin", "wb") as file:
            file.write(b"".join(train[i * size:(i + 1) * size]))
    with open(f"{out}/test_batch.bin", "wb") as file:
        file.write(b"".join(records(f"{folder}/test")))
    with open(f"{out}/batches.meta.txt", "w") as file:
        file.write("\n".join(sorted(os.listdir(f"{folder}/train"), key=os.fsencode)) + "\n")


def numbers(run):
    """metrics.csv without its last column, the seconds."""
    with open(f"{run}/metrics.csv") as file:
        return [line.rsplit(",", 1)[0] for line in file]


class Folder(unittest.TestCase):
    def compare(self, folder, *settings):
        work = support.new_folder(self)
        write_layout(folder, f"{work}/layout")
        common = ["train.max_steps=30", "train.eval_freq=10", *settings]
        from_folder = support.train(f"{work}/a", "data.dataset=folder", f"data.path={folder}", "data.channels=3", *common)
        from_layout = support.train(f"{work}/b", "data.dataset=cifar10", f"data.path={work}/layout", *common)
        self.assertEqual(numbers(from_folder), numbers(from_layout))
        self.assertEqual(len(numbers(from_folder)), 4)

    def test_pictures_of_all_kinds(self):
        folder = support.new_folder(self) + "/pictures"
        make(folder, numpy.random.default_rng(1))
        self.compare(folder)

    def test_the_order_of_the_first_epoch(self):
        folder = support.new_folder(self) + "/pictures"
        make(folder, numpy.random.default_rng(2))
        self.compare(folder, "data.first_epoch=file", "data.validation_size=10")

    def test_sign_digits(self):
        self.compare(os.path.join(fitted.FIXTURES, "sign-digits"), "data.image_size=32")

    @unittest.skipUnless("TRAINER_CIFAR_FOLDER" in os.environ, "TRAINER_CIFAR_FOLDER is not set")
    def test_cifar10(self):
        self.compare(os.environ["TRAINER_CIFAR_FOLDER"], "backend.threads=0", "train.batch_size=64")
