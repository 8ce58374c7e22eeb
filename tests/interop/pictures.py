"""PNG and JPEG files of every kind, made for comparisons: those that Pillow cannot write are put together here."""

import io
import itertools
import struct
import zlib

import numpy
from PIL import Image

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), COLOUR: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), COLOUR_ALPHA: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples, depth):
    """(H,W,C) numbers of `depth` bits as rows of a PNG, each with the filter 0 before it."""
    if 0 in samples.shape:
        return b""
    rows = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        rows = rows.astype(">u2").view(numpy.uint8)
    elif depth < 8:
        bits = (rows[:, :, None] >> numpy.arange(depth)[::-1]) & 1
        rows = numpy.packbits(bits.reshape(len(rows), -1).astype(numpy.uint8), axis=1)
    return b"".join(b"\0" + row.astype(numpy.uint8).tobytes() for row in rows)


def png(samples, depth, kind, before=(), after=(), interlaced=False):
    """A PNG file of (H,W,C) samples, with the chunks (kind, data) before and after its pixels."""
    height, width = samples.shape[:2]
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    data = zlib.compress(b"".join(packed_rows(part, depth) for part in parts))
    middle = b"".join(itertools.starmap(chunk, before)) + chunk(b"IDAT", data) + b"".join(itertools.starmap(chunk, after))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + chunk(b"IEND", b"")


def exif(orientation, order="<"):
    """The block of EXIF, as in a PNG, that says how the camera was held."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)


def png_pictures(random):
    for kind, depths in DEPTHS.items():
        for depth, interlaced in itertools.product(depths, (False, True)):
            height, width = (int(side) for side in random.integers(1, 20, 2))
            samples = random.integers(0, 1 << depth, (height, width, CHANNELS[kind]))
            colours = [(b"PLTE", random.integers(0, 256, 3 << depth, dtype=numpy.uint8).tobytes())] if kind == PALETTE else []
            name = f"png kind {kind} depth {depth}{' interlaced' if interlaced else ''}"
            yield name, png(samples, depth, kind, colours, interlaced=interlaced)
            yield f"{name} gAMA", png(samples, depth, kind, [(b"gAMA", struct.pack(">I", 100000)), *colours])
            yield f"{name} sRGB", png(samples, depth, kind, [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45455)), *colours])
            chroma = struct.pack(">8I", 31270, 32900, 70000, 30000, 20000, 70000, 15000, 5000)
            yield f"{name} cHRM", png(samples, depth, kind, [(b"gAMA", struct.pack(">I", 30000)), (b"cHRM", chroma), *colours])
            if kind == PALETTE:
                alphas = random.integers(0, 256, 1 << depth, dtype=numpy.uint8).tobytes()
                yield f"{name} tRNS", png(samples, depth, kind, [*colours, (b"tRNS", alphas)])
                yield f"{name} tRNS of one", png(samples, depth, kind, [*colours, (b"tRNS", b"\xff\0")])
            elif kind in (GREY, COLOUR):
                key = samples[0, 0].astype(">u2").tobytes()
                yield f"{name} tRNS", png(samples, depth, kind, [(b"tRNS", key)])


def jpeg_pictures(random):
    """Smooth pictures with edges: noise alone would not tell one interpolation of colours from another."""
    for mode, sampling, progressive, quality in itertools.product(("RGB", "L", "CMYK"), (0, 1, 2), (False, True), (30, 95)):
        if mode != "RGB" and sampling > 0:
            continue
        height, width = (int(side) for side in random.integers(1, 60, 2))
        small = random.integers(0, 256, (4, 4, len(mode) if mode != "L" else 1), dtype=numpy.uint8)
        image = Image.fromarray(small.squeeze(), mode).resize((width, height), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, progressive=progressive, **({"subsampling": sampling} if mode == "RGB" else {}))
        yield f"jpeg {mode} sampling {sampling}{' progressive' if progressive else ''} quality {quality}", file.getvalue()


def turned_pictures(random):
    pixels = random.integers(0, 256, (8, 16, 3), dtype=numpy.uint8)
    for orientation, order in itertools.product(range(0, 10), "<>"):
        block = exif(orientation, order)
        yield f"png eXIf {orientation}{order}", png(pixels, 8, COLOUR, [(b"eXIf", block)])
        yield f"png eXIf at the end {orientation}{order}", png(pixels, 8, COLOUR, after=[(b"eXIf", block)])
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", exif=b"Exif\0\0" + block)
        yield f"jpeg EXIF {orientation}{order}", file.getvalue()


def pictures(seed):
    random = numpy.random.default_rng(seed)
    return [*png_pictures(random), *jpeg_pictures(random), *turned_pictures(random)]
