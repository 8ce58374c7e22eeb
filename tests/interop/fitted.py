"""Pictures fitted to a size by Pillow: what src/io/image.h says of image_read_fitted, in Pillow's calls."""

import glob
import hashlib
import io
import itertools
import os

import numpy
from PIL import Image, ImageOps

BILINEAR = Image.Resampling.BILINEAR
FITS = ("crop", "pad", "stretch")
ORIENTATION = 0x112
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures")
SMALL_SIZES = ((1, 1), (9, 7), (19, 40))  # height, width; the pictures have up to 23x17 pixels
PHOTO_SIZES = ((1, 1), (9, 13), (18, 25), (12, 101), (211, 160))  # the photos have 203x151


def contained(size, height, width):
    """The size (width, height) that ImageOps.contain gives a picture of `size`, at least one pixel thick."""
    ratio, wanted = size[0] / size[1], width / height
    if ratio > wanted:
        return width, max(round(size[1] / size[0] * width), 1)
    return (max(round(size[0] / size[1] * height), 1), height) if ratio < wanted else (width, height)


def reduce(file, fit, height, width):
    """Has a JPEG decoded with at least twice the pixels of the result in both directions, where it has so many."""
    sideways = file.format == "JPEG" and file.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    upright = file.size[::-1] if sideways else file.size
    needed = contained(upright, height, width) if fit == "pad" else (width, height)
    file.draft(None, tuple(2 * side for side in (needed[::-1] if sideways else needed)))


def upright(file, channels, background):
    """The whole picture on the background, in its colours or grey."""
    image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):  # convert would clip it to 255
        image = Image.fromarray((numpy.asarray(image) >> 8).astype(numpy.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image.convert("RGBA"))
    image = image.convert("RGB")
    return image if channels == 3 else image.convert("L")


def fit_image(image, fit, height, width, background):
    if fit == "crop":
        return ImageOps.fit(image, (width, height), method=BILINEAR, centering=(0.5, 0.5))
    if fit == "stretch":
        return image.resize((width, height), BILINEAR)
    colour = background if image.mode == "RGB" else Image.new("RGB", (1, 1), background).convert("L").getpixel((0, 0))
    if 0 not in ImageOps.contain(image, (width, height)).size:
        return ImageOps.pad(image, (width, height), method=BILINEAR, color=colour)
    thin = image.resize(contained(image.size, height, width), BILINEAR)  # Pillow would leave nothing of it
    result = Image.new(image.mode, (width, height), colour)
    result.paste(thin, (round((width - thin.width) * 0.5), round((height - thin.height) * 0.5)))
    return result


def planes(path, channels, height, width, fit, background):
    """The pixels (C,H,W)."""
    with Image.open(path) as file:
        reduce(file, fit, height, width)
        pixels = numpy.asarray(fit_image(upright(file, channels, background), fit, height, width, background))
    return pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]


def photo(random, height, width, mode="RGB"):
    """A smooth picture with edges and some noise, as a camera makes it."""
    small = random.integers(0, 256, (random.integers(2, 9), random.integers(2, 9), len(mode)), dtype=numpy.uint8)
    image = Image.fromarray(small.squeeze(2) if len(mode) == 1 else small, mode).resize((width, height), Image.Resampling.BICUBIC)
    pixels = numpy.asarray(image).astype(int)
    pixels += random.integers(-8, 9, pixels.shape)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = 255 - pixels[height // 3 : height // 2, width // 4 : width // 2]
    return Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8), mode)


def file_of(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def fixture_lines():
    """The lines of tests/fixtures/fitted/fitted.txt: a picture, how it is fitted, and the SHA-256 of the planes."""
    number = 0
    for folder, sizes in (("pictures", SMALL_SIZES), ("fitted", PHOTO_SIZES)):
        paths = sorted(glob.glob(os.path.join(FIXTURES, folder, "*.[jp][pn]g")))
        for path, (height, width), fit, channels in itertools.product(paths, sizes, FITS, (3, 1)):
            number += 1
            background = (255, 255, 255) if number % 3 == 0 else (number * 7 % 256, number * 29 % 256, number * 101 % 256)
            digest = hashlib.sha256(planes(path, channels, height, width, fit, background).tobytes()).hexdigest()
            place = f"{folder}/{os.path.basename(path)}"
            yield f"{place} {channels} {height} {width} {fit} {' '.join(map(str, background))} {digest}\n"
