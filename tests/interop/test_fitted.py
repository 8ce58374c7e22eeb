"""Pictures fitted to a size have the pixels that Pillow gives, bit for bit: for every kind of picture, fit and size. The program
fit_image answers for the trainer. The fixtures' list (tests/fixtures/fitted) is compared with the Pillow that is installed."""

import glob
import os
import struct
import subprocess
import unittest

import numpy
from PIL import Image

import fitted
import pictures
import support
from test_pictures import is_different

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_SIDE, MAX_PIXELS = 16384, 1 << 26
FIT = os.path.join(os.path.dirname(os.environ["TRAINER"]), "tests", "interop", "fit_image")
SEEDS = range(4)
# Debian's package openclipart-png, 8,121 files of all kinds: every 40th is compared, or every TRAINER_CLIPART_STEP-th.
CLIPART = os.environ.get("TRAINER_CLIPART", "/usr/share/openclipart/png")
CLIPART_STEP = int(os.environ.get("TRAINER_CLIPART_STEP", "40"))


def exif(orientation):
    return b"Exif\0\0" + pictures.exif(orientation)


@unittest.skipUnless(os.path.exists(FIT), f"no {FIT}: built with the tests")
class Fitted(unittest.TestCase):
    def setUp(self):
        self.folder = support.new_folder(self)
        self.program = subprocess.Popen([FIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.stop)

    def stop(self):
        self.program.stdin.close()
        self.program.stdout.close()
        self.assertEqual(self.program.wait(), 0)

    def ask(self, line):
        self.program.stdin.write(line.encode() + b"\n")
        self.program.stdin.flush()
        return self.program.stdout.readline().decode().strip()

    def fit(self, path, channels, height, width, fit, background):
        answer = self.ask(f"{channels} {height} {width} {fit} {' '.join(map(str, background))} {path}")
        self.assertEqual(answer, f"{channels} {height} {width}")
        return numpy.frombuffer(self.program.stdout.read(channels * height * width), numpy.uint8).reshape(channels, height, width)

    def compare(self, name, path, height, width, random):
        background = tuple(int(value) for value in random.integers(0, 256, 3))
        for fit in fitted.FITS:
            for channels in (3, 1):
                with self.subTest(f"{name}, {fit} to {width}x{height}, {channels} channels, background {background}"):
                    expected = fitted.planes(path, channels, height, width, fit, background)
                    numpy.testing.assert_array_equal(self.fit(path, channels, height, width, fit, background), expected)

    def probe(self, name, path, data):
        """The header's size is that of the upright picture. Bit 2 of a PNG's kind says colour, and so may a palette."""
        with Image.open(path) as file:
            grey = file.mode == "L" if file.format == "JPEG" else not data[25] & 2
            if file.mode == "P":
                grey = all(len(set(colour)) == 1 for colour in file.palette.colors)
            sideways = file.getexif().get(fitted.ORIENTATION, 1) in (5, 6, 7, 8)
            width, height = file.size[::-1] if sideways else file.size
        with self.subTest(f"{name}, header"):
            self.assertEqual(self.ask(f"probe {path}"), f"{height} {width} {'grey' if grey else 'colour'}")

    def write(self, data):
        path = os.path.join(self.folder, "picture")
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_every_kind_of_picture(self):
        for seed in SEEDS:
            random = numpy.random.default_rng(1000 + seed)
            for name, data in pictures.pictures(seed):
                path = self.write(data)
                self.probe(f"seed {seed}, {name}", path, data)
                if not is_different(name):
                    self.compare(f"seed {seed}, {name}", path, *(int(side) for side in random.integers(1, 40, 2)), random)

    def test_jpegs_of_every_size(self):
        """From smaller than the result to 20 times its size, so that every reduction occurs."""
        for seed in SEEDS:
            random = numpy.random.default_rng(2000 + seed)
            for mode in ("RGB", "L", "CMYK") * 8:
                height, width = (int(side) for side in random.integers(1, 500, 2))
                orientation = int(random.integers(1, 9))
                options = {"quality": int(random.integers(40, 96)), "progressive": bool(random.integers(2))}
                if mode == "RGB":
                    options["subsampling"] = int(random.integers(3))
                data = fitted.file_of(fitted.photo(random, height, width, mode), "JPEG", exif=exif(orientation), **options)
                sides = (int(2 ** random.uniform(0, 7)) for _ in range(2))
                path = self.write(data)
                self.probe(f"seed {seed}, {mode}", path, data)
                self.compare(f"seed {seed}, {mode} of {width}x{height}, orientation {orientation}, {options}", path, *sides, random)

    def test_reductions_begin_where_they_should(self):
        """One pixel more or less than 2, 4, 8 and 16 times the result."""
        random = numpy.random.default_rng(3)
        for factor in (2, 4, 8, 16):
            for more in (-1, 0, 1):
                for orientation in (1, 6):
                    width, height = 15 * factor + more, 11 * factor + more
                    sides = (15, 11) if orientation == 6 else (11, 15)
                    data = fitted.file_of(fitted.photo(random, height, width), "JPEG", exif=exif(orientation))
                    self.compare(f"{width}x{height}, orientation {orientation}", self.write(data), *sides, random)

    def test_extreme_sizes(self):
        random = numpy.random.default_rng(4)
        for height, width in ((1, 1), (1, 700), (700, 1), (2, 999), (1500, 7), (13, 4000)):
            path = self.write(fitted.file_of(fitted.photo(random, height, width), "PNG"))
            for sides in ((1, 1), (1, 50), (50, 1), (32, 32), (7, 300)):
                self.compare(f"{width}x{height}", path, *sides, random)

    def is_too_large(self, path):
        with open(path, "rb") as file:
            width, height = struct.unpack(">II", file.read(24)[16:])
        return max(width, height) > MAX_SIDE or width * height > MAX_PIXELS

    @unittest.skipUnless(os.path.isdir(CLIPART), f"no {CLIPART}: Debian's openclipart-png")
    def test_clipart(self):
        random = numpy.random.default_rng(5)
        paths = sorted(glob.glob(os.path.join(CLIPART, "**", "*.png"), recursive=True))
        too_large = [path for path in paths if self.is_too_large(path)]
        self.assertGreaterEqual(len(too_large), 3)
        for path in too_large:
            for request in (f"probe {path}", f"3 64 64 crop 255 255 255 {path}"):
                self.assertIn("expected at most 16384 on a side", self.ask(request))
        for path in sorted({*paths[::CLIPART_STEP]} - {*too_large}):
            with open(path, "rb") as file:
                self.probe(path, path, file.read(26))
            self.compare(path, path, *(int(side) for side in random.integers(8, 100, 2)), random)

    def test_list_of_the_fixtures(self):
        with open(os.path.join(HERE, "..", "fixtures", "fitted", "fitted.txt")) as file:
            self.assertEqual(file.read(), "".join(fitted.fixture_lines()))


if __name__ == "__main__":
    unittest.main()
