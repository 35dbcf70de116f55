"""Image files to arrays, as a person sees them."""

import contextlib
import io
import logging
import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_generators.errors import DataError, reason
from data_generators.images.file_tree import FileTree
from data_generators.images.formats import FORMATS
from data_generators.images.shades import (
    UnknownRangeError,
    bits_a_number,
    check_colours,
    has_many_shades,
    shades,
)

CHANNELS = {"L": 1, "RGB": 3}
# Of TIFF 6.0.
TAGS = {"BitsPerSample": 258, "Samples": 277, "PlanarConfiguration": 284, "ColorMap": 320}
# Of the pixels, in the names of caches. Version 1 had images of more than 8 bits too dark or too
# bright, version 2 the transparent shade of grey PNGs of 2 and 4 bits as it is stored, version 3
# planes of 16 bits as of 8, and palettes that are none as black.
READER_VERSION = 4

# What Pillow logs of a damaged image lacks the file's name; what matters of it is an error here.
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# What Pillow's decoders raise for damaged or too large files: every format's others.
_DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class _DamagedError(Exception):
    """Pillow cannot read the file; the text says why."""


def read_image(tree: FileTree, name: str, mode: str, side: int) -> np.ndarray:
    """Read an image as a viewer shows it, convert it to `mode`, resize it to side x side (Lanczos).

    Of an animation or of several pages it is the first picture.

    Returns:
        uint8 [side, side] for mode "L", [side, side, 3] for mode "RGB".

    Raises:
        DataError: the image is unreadable or damaged, or its file does not say which numbers are
            black and white; the line names it.
    """
    data = tree.read(name)
    try:
        image = _decode(data, mode)
    except (_DamagedError, UnknownRangeError, OSError, ValueError, MemoryError) as error:
        raise DataError(f"cannot read the image {tree.root / name}: {reason(error)}") from error
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _decode(data: bytes, mode: str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # What matters of them is an error here.
        image, upright = _loaded(data)
        # Pillow resizes one-bit and palette images by nearest neighbor: convert first.
        return _as_shown(image, upright, bits_a_number(image, data)).convert(mode)


def _loaded(data: bytes) -> tuple[Image.Image, Image.Image]:
    """The image as stored, and turned upright; whatever Pillow raises is damage to the file."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.format == "PNG":
                _check_png(data)
            if image.format == "TIFF":
                _check_tiff(image)
            with _silent_libtiff() if image.format == "TIFF" else contextlib.nullcontext():
                image.load()
                return image, ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:  # Its text names an object in memory.
        raise _DamagedError("it is damaged, or of no format that Pillow knows") from error
    except _DAMAGE as error:
        raise _DamagedError(reason(error)) from error


@contextlib.contextmanager
def _silent_libtiff() -> Iterator[None]:
    """Keep what libtiff writes past Python to the standard error, without the file's name."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_png(data: bytes) -> None:
    """Compare the checksums, as Pillow does not do with those of pixels, and ask for a palette."""
    place, kind, has_palette = 8, b"", data[25:26] != b"\x03"
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", data[place : place + 8].ljust(8, b"\0"))
        end = place + 8 + length
        if end + 4 > len(data):
            raise OSError("the PNG is cut short")
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise OSError(f"the PNG is damaged: wrong checksum of {kind!r}")
        has_palette |= kind == b"PLTE"
        if kind == b"IDAT" and not has_palette:
            raise OSError("the PNG is damaged: its palette is missing")
        place = end + 4


def _check_tiff(image: Image.Image) -> None:
    """Refuse what Pillow reads as something else without a word."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    in_planes = tags.get(TAGS["PlanarConfiguration"], 1) == 2 and tags.get(TAGS["Samples"], 1) > 1
    if in_planes and max(tags.get(TAGS["BitsPerSample"], (1,))) > 8:
        raise OSError(
            "its colours lie in planes of more than 8 bits, which Pillow reads wrongly: save them "
            "pixel by pixel"
        )
    if image.mode.startswith("P") and 0 < max(tags.get(TAGS["ColorMap"], (0,))) < 256:
        raise OSError("its palette has numbers of 8 bits, where TIFF's have 16: save it anew")


def _as_shown(image: Image.Image, upright: Image.Image, bits: int | None) -> Image.Image:
    """Bring the numbers of an image, turned `upright`, to 8 bits and lay it on white.

    Pillow's `convert` alone drops the transparency and cuts larger numbers off at 255.
    """
    if has_many_shades(image):
        return Image.fromarray(shades(image, np.asarray(upright), bits))
    if bits is None or bits == 16:
        check_colours(image, np.asarray(upright), bits)
    if upright.has_transparency_data:
        transparent = upright.info.get("transparency")
        if bits == 16 and isinstance(transparent, tuple):
            upright.info["transparency"] = tuple(number >> 8 for number in transparent)
        if bits in (2, 4) and upright.mode == "L" and isinstance(transparent, int):
            # Of a PNG: Pillow spreads its pixels to 0..255, and leaves this as the file has it.
            upright.info["transparency"] = transparent * 255 // (2**bits - 1)
        upright = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright
