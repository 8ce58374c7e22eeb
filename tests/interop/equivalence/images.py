"""Small data sets that the comparison makes itself: noise around a pattern per class, in CIFAR-10's layout (3x32x32, 10
classes) and as IDX files (1x16x20, 7 classes, so that height and width differ)."""

import os
import struct

import numpy

TRAIN, TEST, BATCH_FILES = 210, 53, 5


class Part:
    """Images (N,C,H,W) as bytes, and their labels (N)."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def chosen(self, places):
        return Part(self.images[places], self.labels[places])


def make_part(count, patterns, random):
    labels = numpy.concatenate([numpy.arange(len(patterns)), random.integers(0, len(patterns), count - len(patterns))])
    random.shuffle(labels)
    pixels = patterns[labels] + random.normal(0, 45, (count, *patterns.shape[1:]))
    return Part(numpy.clip(pixels, 0, 255).astype(numpy.uint8), labels.astype(numpy.uint8))


def make_set(classes, channels, height, width):
    """The same images every time: training part, test part."""
    random = numpy.random.default_rng(classes)
    coarse = random.uniform(40, 215, (classes, channels, height // 4, width // 4))
    patterns = coarse.repeat(4, 2).repeat(4, 3)
    return make_part(TRAIN, patterns, random), make_part(TEST, patterns, random)


def write_cifar10(folder, train, test):
    os.makedirs(folder)
    share = TRAIN // BATCH_FILES
    parts = [train.chosen(slice(i * share, (i + 1) * share)) for i in range(BATCH_FILES)]
    names = [f"data_batch_{i + 1}.bin" for i in range(BATCH_FILES)]
    for name, part in zip([*names, "test_batch.bin"], [*parts, test]):
        rows = numpy.concatenate([part.labels[:, None], part.images.reshape(len(part.labels), -1)], 1)
        rows.tofile(os.path.join(folder, name))


def write_idx(folder, train, test):
    os.makedirs(folder)
    for prefix, part in (("train", train), ("t10k", test)):
        count, _, height, width = part.images.shape
        with open(os.path.join(folder, f"{prefix}-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, height, width) + part.images.tobytes())
        with open(os.path.join(folder, f"{prefix}-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + part.labels.tobytes())


WRITERS = {"cifar10": write_cifar10, "idx": write_idx}
SHAPES = {"cifar10": (10, 3, 32, 32), "idx": (7, 1, 16, 20)}  # classes, channels, height, width


def write_all(folder):
    for name, write in WRITERS.items():
        write(os.path.join(folder, name), *make_set(*SHAPES[name]))


def normalization(kind, images):
    """offset (C,H,W) and scale (C) in single precision, as the trainer keeps them, from the training images alone."""
    offset, scale = numpy.zeros(images.shape[1:]), numpy.ones(images.shape[1])
    pixels = images.astype(numpy.float64)
    if kind == "mean_image":
        offset = pixels.mean(0)
    elif kind == "unit":
        scale[:] = 1 / 255
    elif kind == "channel":
        offset[:] = pixels.mean((0, 2, 3))[:, None, None]
        scale = 1 / pixels.std((0, 2, 3))
    return offset.astype(numpy.float32), scale.astype(numpy.float32)
