"""Pictures as the trainer reads them have the pixels that Pillow gives: bit for bit, for every kind of PNG and JPEG."""

import glob
import os
import subprocess
import unittest

import numpy
from PIL import Image, ImageOps

import pictures
import support

HERE = os.path.dirname(os.path.abspath(__file__))
DECODE = os.path.join(os.path.dirname(os.environ["TRAINER"]), "tests", "interop", "decode_image")
SEEDS = range(5)


def is_different(name):
    """Pillow compares the colour of tRNS, which is in the file's own depth, with pixels that it has made 8 bits of: a key of
    fewer than 8 bits, or of more, then meets no pixel or the wrong ones. The trainer goes by the standard, and tests/test_image.c
    has the pixels."""
    return name.endswith("tRNS") and any(part in name for part in ("kind 0 depth 2", "kind 0 depth 4", "depth 16"))


def pillow(path, channels):
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):  # convert would clip it to 255
        image = Image.fromarray((numpy.asarray(image) >> 8).astype(numpy.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    pixels = numpy.asarray(image if channels == 3 else image.convert("L"))
    return pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]


def decoded(path, channels):
    answer = subprocess.run([DECODE, str(channels), path], capture_output=True, check=True).stdout
    line, _, planes = answer.partition(b"\n")
    if not planes:
        raise AssertionError(line.decode())
    return numpy.frombuffer(planes, numpy.uint8).reshape([int(size) for size in line.split()])


@unittest.skipUnless(os.path.exists(DECODE), f"no {DECODE}: built with the tests")
class Pictures(unittest.TestCase):
    def compare(self, name, path):
        for channels in (3, 1):
            with self.subTest(f"{name}, {channels} channels"):
                numpy.testing.assert_array_equal(decoded(path, channels), pillow(path, channels))

    def test_pixels_are_those_of_pillow(self):
        folder = support.new_folder(self)
        path = os.path.join(folder, "picture")
        for seed in SEEDS:
            for name, data in pictures.pictures(seed):
                if is_different(name):
                    continue
                with open(path, "wb") as file:
                    file.write(data)
                self.compare(f"seed {seed}, {name}", path)

    def test_pixels_of_the_fixtures(self):
        paths = sorted(glob.glob(os.path.join(HERE, "..", "fixtures", "pictures", "*.[jp][pn]g")))
        self.assertGreater(len(paths), 8)
        for path in paths:
            self.compare(os.path.basename(path), path)
            with open(path[:-4] + ".planes", "rb") as file:
                self.assertEqual(file.read().partition(b"\n")[2], pillow(path, 3).tobytes(), path)


if __name__ == "__main__":
    unittest.main()
