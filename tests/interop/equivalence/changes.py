"""Training images that are changed as whole images, by the formulas of the structs augment_params and batch_mix of backend.h,
in whole numbers of Python. No line here calls the trainer."""

import math

import numpy

from draws import STREAM_AUGMENT, Sequence, is_flipped, mirrored, philox, scaled

STREAM_PICTURE, STREAM_ERASE, STREAM_MIX = 9, 10, 11
HALF_LOG_4_3, ERASED_LOGS = 222821561, (-924741905, 932526303)  # log2(ratio) / 2 in 2^-30
ONE = 1 << 30
CHANGES = ("vertical_flip", "rotate", "scale", "resized_crop", "brightness", "contrast", "saturation", "erase", "mixup", "cutmix")


def in_bits(value, bits):
    """The nearest whole number of units of 2^-bits; halves go up."""
    return math.floor(value * 2**bits + 0.5)


class Changes:
    """What [augment] asks for, in the units of struct augment_params."""

    def __init__(self, settings, samples):
        """`samples`: those of the training set."""
        self.epoch_steps = samples // settings.whole("train.batch_size")
        self.seed, self.flip = settings.whole("experiment.seed"), settings.text("augment.flip")
        self.crop, self.cutout = settings.whole("augment.crop"), settings.whole("augment.cutout")
        self.vertical_flip = settings.flag("augment.vertical_flip")
        self.rotate = in_bits(settings.real("augment.rotate") / 360, 32)
        for key in ("scale", "brightness", "contrast", "saturation"):
            setattr(self, key, in_bits(settings.real("augment." + key), 16))
        for key in ("resized_crop", "erase"):
            setattr(self, key, in_bits(settings.real("augment." + key), 32))
        self.mixup, self.cutmix = settings.real("augment.mixup"), settings.real("augment.cutmix")

    def any(self):
        """True where more than flip, crop and cutout is on."""
        return any(getattr(self, key) for key in CHANGES)


# --- functions of real numbers in whole numbers; C rounds a quotient towards 0 ---


def quotient(a, b):
    return a // b if (a < 0) == (b < 0) else -(-a // b)


def times(a, b):
    return quotient(a * b, ONE)


def power(exponent):
    """2^exponent, both in 2^-30."""
    x, result = times(exponent, 744261118), ONE
    for k in range(14, 0, -1):
        result = ONE + quotient(times(x, result), k)
    return result


def turn(angle):
    """Sine and cosine in 2^-30 of an angle in 2^-32 of a turn."""
    angle %= 2**32
    quarter = (angle + 2**29) % 2**32 >> 30
    x = (angle - (quarter << 30) + 2**31) % 2**32 - 2**31
    x = times(x, 1686629713)
    square, sine, cosine = times(x, x), ONE, ONE
    for k in range(6, 0, -1):
        sine = ONE - quotient(times(square, sine), 2 * k * (2 * k + 1))
        cosine = ONE - quotient(times(square, cosine), (2 * k - 1) * 2 * k)
    sine = times(x, sine)
    for _ in range(quarter):
        sine, cosine = cosine, -sine
    return sine, cosine


def between(word, low, high):
    return low + (int(word) * (high - low + 1) >> 32)


# --- rectangles: top, left, height, width ---


def rectangle(words, least, most, narrowest, widest, height, width):
    share, half = between(words[0], least, most), between(words[1], narrowest, widest)
    side = math.isqrt(height * width * share)
    wide, high = (times(power(sign * half), side) + 32768 >> 16 for sign in (1, -1))
    if high > height or wide > width:
        return 0, 0, high, wide
    return scaled(words[2], height - high + 1), scaled(words[3], width - wide + 1), high, wide


def window(changes, step, sample, height, width):
    if not changes.resized_crop:
        return 0, 0, height, width
    for words in philox(changes.seed, STREAM_PICTURE, step, range(16 * sample + 2, 16 * sample + 12)):
        found = rectangle(words, changes.resized_crop, 1 << 32, -HALF_LOG_4_3, HALF_LOG_4_3, height, width)
        if 0 < found[2] <= height and 0 < found[3] <= width:
            return found
    high = (4 * width + 1) // 3 if 4 * width < 3 * height else height
    wide = (4 * height + 1) // 3 if 3 * width > 4 * height else width
    return (height - high) // 2, (width - wide) // 2, high, wide


def erased(changes, step, sample, height, width):
    words = philox(changes.seed, STREAM_ERASE, step, range(16 * sample, 16 * sample + 11))
    if words[0][0] >= changes.erase:
        return 0, 0, 0, 0
    for tried in words[1:]:
        found = rectangle(tried, 85899346, 1417339208, *ERASED_LOGS, height, width)
        if found[2] < height and found[3] < width:
            return found
    return 0, 0, 0, 0


def holes(changes, step, sample, height, width):
    """A mask (H,W) of the places that become 0."""
    cut = philox(changes.seed, STREAM_AUGMENT, step, [2 * sample + 1])[0]
    side = changes.cutout
    cutout = scaled(cut[0], height) - side // 2, scaled(cut[1], width) - side // 2, side, side
    mask = numpy.zeros((height, width), bool)
    for top, left, high, wide in (cutout, erased(changes, step, sample, height, width)):
        mask[max(top, 0):max(top + high, 0), max(left, 0):max(left + wide, 0)] = True
    return mask


# --- an image ---


def tap(place, size):
    """The pixels before and after a place in 2^-33, and the weight of the second in 2^-12."""
    rounded = place + 2**20 >> 21
    pixels = []
    for pixel in (rounded >> 12, (rounded >> 12) + 1):
        pixel = abs(pixel) % (2 * (size - 1)) if size > 1 else 0
        pixels.append(mirrored(pixel, size))
    return *pixels, rounded & 4095


def moved(changes, step, sample, image):
    """The image (C,H,W) of bytes after the geometry."""
    height, width = image.shape[1:]
    move = [int(word) for word in philox(changes.seed, STREAM_AUGMENT, step, [2 * sample])[0]]
    place = [int(word) for word in philox(changes.seed, STREAM_PICTURE, step, [16 * sample])[0]]
    up = -1 if changes.vertical_flip and place[0] >> 31 else 1
    left = -1 if is_flipped(changes.flip, sample, step, changes.epoch_steps, changes.seed, move[0]) else 1
    down, right = (scaled(word, 2 * changes.crop + 1) - changes.crop for word in move[1:3])
    sine, cosine = turn(between(place[1], -changes.rotate, changes.rotate))
    zoom = between(place[2], 65536 - changes.scale, 65536 + changes.scale)
    cosine, sine = quotient(cosine << 18, zoom), quotient(sine << 18, zoom)
    top, start, high, wide = window(changes, step, sample, height, width)
    row_down, row_right = up * 2 * quotient(cosine * high, height), -left * 2 * quotient(sine * high, height)
    column_down, column_right = up * 2 * quotient(sine * wide, width), left * 2 * quotient(cosine * wide, width)
    row = (2 * top + high - 1 << 32) + down * 2 * quotient(high << 32, height)
    column = (2 * start + wide - 1 << 32) + right * 2 * quotient(wide << 32, width)
    row -= quotient(row_down * (height - 1) + row_right * (width - 1), 2)
    column -= quotient(column_down * (height - 1) + column_right * (width - 1), 2)
    result = numpy.empty_like(image)
    pixels = image.astype(numpy.int64)
    for h in range(height):
        for w in range(width):
            above, below, lower = tap(row + h * row_down + w * row_right, height)
            before, after, later = tap(column + h * column_down + w * column_right, width)
            first = pixels[:, above, before] * (4096 - later) + pixels[:, above, after] * later
            second = pixels[:, below, before] * (4096 - later) + pixels[:, below, after] * later
            result[:, h, w] = first * (4096 - lower) + second * lower + (1 << 23) >> 24
    return result


def toned(image, factor, shift):
    return numpy.clip(image.astype(numpy.int64) * factor + shift + 32768 >> 16, 0, 255).astype(numpy.uint8)


def greys(image):
    wide = image.astype(numpy.int64)
    return wide if len(wide) != 3 else 19595 * wide[0] + 38470 * wide[1] + 7471 * wide[2] + 32768 >> 16


def coloured(changes, step, sample, image):
    words = philox(changes.seed, STREAM_PICTURE, step, [16 * sample + 1])[0]
    brightness, contrast, saturation = (between(word, 65536 - change, 65536 + change) for word, change in
                                        zip(words, (changes.brightness, changes.contrast, changes.saturation)))
    image = toned(image, brightness, 0)
    grey = greys(image)
    mean = (int(grey.sum()) * 65536 + grey.size // 2) // grey.size
    image = toned(image, contrast, (65536 - contrast) * mean >> 16)
    return toned(image, saturation, (65536 - saturation) * greys(image)) if changes.saturation else image


# --- a batch ---


def uniform(sequence):
    return (next(sequence.words) + 0.5) / 2**32


def log_gamma(sequence, shape):
    if shape < 1:
        factor = math.log(uniform(sequence)) / shape
        return log_gamma(sequence, shape + 1) + factor
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        radius = math.sqrt(-2 * math.log(uniform(sequence)))
        x = radius * math.cos(2 * math.pi * uniform(sequence))
        v, u = (1 + c * x)**3, uniform(sequence)
        if v > 0 and math.log(u) < x * x / 2 + d - d * v + d * math.log(v):
            return math.log(d * v)


def span(sequence, side, size):
    half, centre = int(side / 2), sequence.below(size)
    return max(centre - half, 0), min(centre + half, size)


def drawn_mix(changes, step, height, width):
    """The share of the partner's label in 1/65536, and the partner's box, or None where pixels are blended."""
    if not changes.mixup and not changes.cutmix:
        return 0, None
    sequence = Sequence(changes.seed, STREAM_MIX, step, 400)
    heads = next(sequence.words) >> 31
    boxed = changes.cutmix > 0 and (changes.mixup == 0 or heads)
    alpha = changes.cutmix if boxed else changes.mixup
    first, second = log_gamma(sequence, alpha), log_gamma(sequence, alpha)
    share = 1 / (1 + math.exp(second - first))
    if not boxed:
        return math.floor(share * 65536 + 0.5), None
    (top, bottom), (left, right) = (span(sequence, math.sqrt(share) * size, size) for size in (height, width))
    area = (bottom - top) * (right - left)
    return (area * 65536 + height * width // 2) // (height * width), (slice(top, bottom), slice(left, right))


def batch(changes, step, samples, images):
    """The changed bytes (N,C,H,W) of the samples, the masks (N,H,W) of their holes, and the share of the partners' labels."""
    height, width = images.shape[2:]
    own = [coloured(changes, step, i, moved(changes, step, i, images[i])) for i in samples]
    own, masks = numpy.stack(own), numpy.stack([holes(changes, step, i, height, width) for i in samples])
    share, box = drawn_mix(changes, step, height, width)
    other = numpy.roll(own, -1, 0)
    if box:
        own[(..., *box)] = other[(..., *box)]
    elif share:
        own = (65536 - share) * own.astype(numpy.int64) + share * other.astype(numpy.int64) + 32768 >> 16
    return own.astype(numpy.uint8), masks, share / 65536
