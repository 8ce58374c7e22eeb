"""`trainer samples` shows the training images that the formulas of backend.h give: bit for bit, by the numpy form of
equivalence/changes.py. The holes are left out, whose colour is the picture's own choice."""

import itertools
import os
import sys
import tempfile
import unittest

import numpy
from PIL import Image

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "equivalence"))
import changes  # noqa: E402
import draws  # noqa: E402
import images  # noqa: E402
import subject  # noqa: E402

ROWS, EPOCHS, GAP, SMALLEST_SIDE = 8, (0, 3, 6), 4, 64
CASES = {
    "turned, zoomed, mirrored": {"rotate": "25", "scale": "0.3", "vertical_flip": "true"},
    "shrunk and turned as far as can be": {"rotate": "180", "scale": "0.9", "flip": "true"},
    "resized crops": {"resized_crop": "0.2", "crop": "3"},
    "contrast, brightness, erased": {"brightness": "0.4", "contrast": "1", "erase": "0.5", "cutout": "5"},
    "mixup": {"mixup": "0.2", "flip": "true"},
    "mirrored in every second epoch": {"flip": "alternating", "rotate": "20"},
    "cutmix": {"cutmix": "1", "rotate": "10"},
    "both": {"mixup": "0.4", "cutmix": "0.5"},
}


def chosen(labels):
    """The samples of the rows: the first one of each class in turn, then the second ones."""
    by_class = [[i for i, label in enumerate(labels) if label == c] for c in range(max(labels) + 1)]
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*by_class))
    return [sample for sample in rounds if sample is not None][:ROWS]


def shown(picture, row, epoch, height, width):
    """The pixels (C,H,W) that the picture shows of a row's sample in an epoch."""
    zoom = -(-SMALLEST_SIDE // max(height, width))
    top, left = GAP + row * (height * zoom + GAP), GAP + (epoch + 1) * (width * zoom + GAP)
    return picture[top:top + height * zoom:zoom, left:left + width * zoom:zoom].transpose(2, 0, 1)


class Samples(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        images.write_all(os.path.join(self.folder, "images"))

    def compare(self, dataset, keys):
        keys = {f"augment.{name}": value for name, value in keys.items()}
        case = subject.Subject(os.environ["TRAINER"], self.folder, os.path.join(self.folder, "images"),
                               {"data.dataset": dataset, **keys})
        path = os.path.join(self.folder, "samples.png")
        case.call("samples", case.config, "-o", path)
        picture = numpy.asarray(Image.open(path))
        picture = picture if picture.ndim == 3 else picture[..., None]
        train = images.make_set(*images.SHAPES[dataset])[0]
        pixels = train.images
        size, asked = case.settings.whole("train.batch_size"), changes.Changes(case.settings, len(train.labels))
        for epoch in EPOCHS:
            order = draws.epoch_order(len(pixels), asked.seed, epoch, case.settings.text("data.first_epoch"))
            for row, sample in enumerate(chosen(train.labels)):
                step, place = divmod(order.index(sample), size)
                partner = order[step * size + (place + 1) % size]
                pair, holes, _ = changes.batch(asked, epoch * (len(pixels) // size) + step, [sample, partner], pixels)
                different = (shown(picture, row, epoch, *pixels.shape[2:]) != pair[0]) & ~holes[0]
                self.assertEqual(int(different.sum()), 0, f"epoch {epoch}, sample {sample}")

    def test_every_change(self):
        for dataset in ("idx", "cifar10"):
            for name, keys in CASES.items():
                with self.subTest(dataset=dataset, case=name):
                    self.compare(dataset, keys)

    def test_colours(self):
        self.compare("cifar10", {"saturation": "1", "contrast": "0.5", "brightness": "0.3"})

    def test_the_comparison_can_fail(self):
        with self.assertRaises(AssertionError):
            case, real = {"rotate": "25"}, changes.STREAM_PICTURE
            self.addCleanup(setattr, changes, "STREAM_PICTURE", real)
            changes.STREAM_PICTURE = real + 100
            self.compare("idx", case)


if __name__ == "__main__":
    unittest.main()
