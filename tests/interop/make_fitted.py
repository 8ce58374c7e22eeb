"""Writes tests/fixtures/fitted: photos of each kind that libjpeg-turbo decodes reduced, and the list of what Pillow makes of them."""

import os

import numpy

import fitted
import pictures

PHOTOS = (
    # name, mode, orientation, options
    ("photo_420", "RGB", 1, {"subsampling": 2}),
    ("photo_422_progressive", "RGB", 1, {"subsampling": 1, "progressive": True}),
    ("photo_444_turned", "RGB", 6, {"subsampling": 0}),
    ("photo_420_mirrored", "RGB", 7, {"subsampling": 2}),
    ("photo_grey", "L", 3, {}),
    ("photo_cmyk", "CMYK", 1, {}),
)


def main():
    random = numpy.random.default_rng(1)
    folder = os.path.join(fitted.FIXTURES, "fitted")
    for name, mode, orientation, options in PHOTOS:
        block = b"Exif\0\0" + pictures.exif(orientation)
        image = fitted.photo(random, 151, 203, mode)
        with open(os.path.join(folder, name + ".jpg"), "wb") as file:
            file.write(fitted.file_of(image, "JPEG", quality=60, exif=block, **options))
    with open(os.path.join(folder, "fitted.txt"), "w") as file:
        file.writelines(fitted.fixture_lines())


if __name__ == "__main__":
    main()
