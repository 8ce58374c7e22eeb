"""The trainer's random draws by the formulas of its headers: philox.h, rng.h, batch.h and the structs augment_params and
dropout_params of backend.h. No line here calls the trainer."""

import numpy

STREAM_SHUFFLE, STREAM_AUGMENT, STREAM_SPLIT, STREAM_LAYER = 1, 3, 7, 0x20000
LOW_WORD, WORD_BITS = numpy.uint64(0xFFFFFFFF), numpy.uint64(32)


def philox(seed, stream, step, index):
    """Philox4x32-10: four words of 32 bits for each element of `index`, shape (len(index), 4)."""
    index = numpy.asarray(index, numpy.uint64)
    counter = [index & LOW_WORD, index >> WORD_BITS, numpy.full_like(index, step), numpy.full_like(index, stream)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = numpy.uint64(0xD2511F53) * counter[0], numpy.uint64(0xCD9E8D57) * counter[2]
        counter = [(second >> WORD_BITS) ^ counter[1] ^ numpy.uint64(key[0]), second & LOW_WORD,
                   (first >> WORD_BITS) ^ counter[3] ^ numpy.uint64(key[1]), first & LOW_WORD]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return numpy.stack(counter, -1)


class Sequence:
    """The words of one stream and step in the order of their index, as struct rng takes them."""

    def __init__(self, seed, stream, step, length):
        self.words = iter(philox(seed, stream, step, numpy.arange(length // 4 + 1)).reshape(-1).tolist())

    def below(self, bound):
        """A whole number 0..bound-1, each with the same probability."""
        rejected = (2**32 - bound) % bound
        while True:
            word = next(self.words)
            if word >= rejected:
                return word % bound


def permutation(count, seed, stream, step):
    """Fisher and Yates, from the last place to the second."""
    order, sequence = list(range(count)), Sequence(seed, stream, step, 4 * count + 64)
    for place in range(count - 1, 0, -1):
        other = sequence.below(place + 1)
        order[place], order[other] = order[other], order[place]
    return order


def epoch_order(count, seed, epoch, first_epoch):
    """The order of an epoch's samples; first_epoch is "file" or "shuffled"."""
    return list(range(count)) if epoch == 0 and first_epoch == "file" else permutation(count, seed, STREAM_SHUFFLE, epoch)


def shares(labels, size):
    """How many samples each class gives to a validation set: its share rounded down, and one more from the classes with the
    largest remainders, except a class's last sample."""
    counts = numpy.bincount(labels)
    taken, remainders = size * counts // len(labels), size * counts % len(labels)
    order = sorted(range(len(counts)), key=lambda label: (counts[label] - taken[label] <= 1, -remainders[label], label))
    for label in order[:size - taken.sum()]:
        taken[label] += 1
    return taken


def held_out(labels, size, seed):
    """True for the samples of the validation set: of each class the first ones in a random order of all samples."""
    left, chosen = shares(labels, size), numpy.zeros(len(labels), bool)
    for sample in permutation(len(labels), seed, STREAM_SPLIT, 0):
        chosen[sample] = left[labels[sample]] > 0
        left[labels[sample]] -= chosen[sample]
    return chosen


def dropout_mask(shape, rate, seed, layer, step):
    """1 where dropout keeps a value of a tensor (N,C,H,W) or (N,C). An element's draw is that of its place in
    (N,H,W,C'), where C' is C rounded up to a multiple of 16."""
    samples, channels, height, width = (*shape, 1, 1)[:4]
    padded = (channels + 15) // 16 * 16
    count = samples * height * width * padded
    words = philox(seed, STREAM_LAYER + layer, step, numpy.arange((count + 3) // 4)).reshape(-1)[:count]
    kept = (words >> numpy.uint64(8)).astype(numpy.float64) / 2**24 >= rate
    return kept.reshape(samples, height, width, padded)[..., :channels].transpose(0, 3, 1, 2).reshape(shape)


def scaled(word, bound):
    return int(word) * bound >> 32


def mirrored(place, size):
    inside = abs(place)
    return inside if inside < size else 2 * (size - 1) - inside


def is_flipped(kind, sample, step, epoch_steps, seed, word):
    """Whether augment.flip mirrors the sample in that step; `word` is the step's draw."""
    if kind == "alternating":
        first = int(philox(seed, STREAM_AUGMENT, 2**32 - 1, [2 * sample])[0][0]) >> 31
        return first != step // epoch_steps % 2
    return kind == "true" and int(word) >> 31


def augmented(image, sample, step, epoch_steps, seed, flip, crop, cutout):
    """A normalised image (C,H,W) as the network sees it in that step; `sample` is its number in the training set."""
    height, width = image.shape[1:]
    place, hole = philox(seed, STREAM_AUGMENT, step, [2 * sample, 2 * sample + 1])
    flipped = is_flipped(flip, sample, step, epoch_steps, seed, place[0])
    down, right = (scaled(word, 2 * crop + 1) - crop for word in place[1:3])
    rows = [mirrored(row + down, height) for row in range(height)]
    columns = [mirrored((width - 1 - column if flipped else column) + right, width) for column in range(width)]
    moved = image[:, rows][:, :, columns]
    top, left = scaled(hole[0], height) - cutout // 2, scaled(hole[1], width) - cutout // 2
    moved[:, max(top, 0):max(top + cutout, 0), max(left, 0):max(left + cutout, 0)] = 0
    return moved
