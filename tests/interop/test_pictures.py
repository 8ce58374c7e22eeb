"""How pictures are read and scaled, compared with Pillow: a network whose scores are its input shows the pixels."""

import json
import os
import unittest

import numpy
import safetensors.numpy
from PIL import Image

import support

SIZE = 8
SETTINGS = ["model.kind=mlp", "model.features=", "model.hidden=", "model.batchnorm=none", "data.normalization=none",
            "data.synthetic_channels=1", f"data.synthetic_classes={SIZE * SIZE}", "data.synthetic_train=64",
            "data.synthetic_test=64"]


class Pictures(unittest.TestCase):
    def setUp(self):
        self.folder = support.new_folder(self)
        config, weights, self.network = (os.path.join(self.folder, name) for name in ("c.ini", "w.safetensors", "run"))
        with open(config, "w") as file:
            file.write(support.CONFIG)
        settings = [f"--set={setting}" for setting in SETTINGS]
        one = {"layers.0.weight": numpy.eye(SIZE * SIZE, dtype=numpy.float32),
               "layers.0.bias": numpy.zeros(SIZE * SIZE, dtype=numpy.float32)}
        safetensors.numpy.save_file(one, weights)
        support.trainer("import", config, weights, "--output", self.network, *settings)

    def seen(self, picture, name):
        """What the network's input is, (H,W), when it is given the picture as a file of that name."""
        path = os.path.join(self.folder, name)
        picture.save(path, **({"quality": 95} if name.endswith("jpg") else {}))
        answer = json.loads(support.trainer("predict", self.network, "--json", path))["predictions"][0]
        self.assertEqual((answer["width"], answer["height"]), picture.size)
        with Image.open(path) as written:
            return numpy.array(answer["logits"]).reshape(SIZE, SIZE), written.copy()

    def agree(self, found, expected, tolerance):
        numpy.testing.assert_allclose(found, numpy.asarray(expected, float), atol=tolerance, rtol=0)

    def test_scaled_as_by_pillow(self):
        random = numpy.random.default_rng(2)
        for height, width in ((8, 8), (16, 16), (37, 50), (5, 3), (9, 8), (1, 1), (200, 11)):
            for name in ("a.png", "a.jpg"):
                with self.subTest(f"{width}x{height} {name}"):
                    picture = Image.fromarray(random.integers(0, 256, (height, width), dtype=numpy.uint8))
                    found, written = self.seen(picture, name)
                    # Pillow rounds twice, once in each direction.
                    self.agree(found, written.resize((SIZE, SIZE), Image.Resampling.BILINEAR), 1.01)

    def test_modes(self):
        random = numpy.random.default_rng(3)
        colours = Image.fromarray(random.integers(0, 256, (SIZE, SIZE, 3), dtype=numpy.uint8))
        for mode in ("RGB", "L", "1", "P"):
            with self.subTest(mode):
                found, written = self.seen(colours.convert(mode), f"{mode}.png")
                self.agree(found, written.convert("RGB").convert("L"), 1.01)

    def test_transparency_lies_on_white(self):
        pixels = numpy.zeros((SIZE, SIZE, 4), numpy.uint8)
        pixels[: SIZE // 2, :, 3] = 255
        found, _ = self.seen(Image.fromarray(pixels), "a.png")
        self.agree(found, numpy.repeat([0, 255], SIZE * SIZE // 2).reshape(SIZE, SIZE), 0)


if __name__ == "__main__":
    unittest.main()
