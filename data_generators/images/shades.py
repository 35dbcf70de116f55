"""Which of an image's numbers is black and which is white, where they have more than 8 bits."""

import numpy as np
from PIL import Image

# A picture that stays below this share of its range is taken for one of another range, such as the
# 12 bits of a sensor in numbers of 16.
LEAST_SHARE = 1 / 4

# Tags of TIFF, and two of their values.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


class UnknownRangeError(Exception):
    """The file does not say which numbers are black and white."""


def bits_a_number(image: Image.Image, data: bytes) -> int | None:
    """How many bits the numbers of an image have; None if they are signed, or nothing says it.

    Args:
        image: as opened.
        data: its file.
    """
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        is_signed = _tag(image, _SAMPLE_FORMAT, _UNSIGNED) != _UNSIGNED
        return None if is_signed else _tag(image, _BITS_PER_SAMPLE, 1)
    if image.format in ("PPM", "JPEG2000"):  # Pillow brings those of more than 8 bits to 16.
        return 16 if has_many_shades(image) else 8
    return None if has_many_shades(image) else 8


def has_many_shades(image: Image.Image) -> bool:
    """Whether a pixel is one number of more than 8 bits, or no integer."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def shades(image: Image.Image, numbers: np.ndarray, bits: int | None) -> np.ndarray:
    """Turn the pixels of an image that `has_many_shades` into shades of grey.

    Args:
        image: as opened.
        numbers: its pixels, [height, width].
        bits: of a number, as `bits_a_number` says.

    Returns:
        uint8 [height, width], 0 black and 255 white.

    Raises:
        UnknownRangeError: they may mean several things.
    """
    if image.mode == "F":
        _check_range(numbers, 1)
        grey = np.rint(numbers * 255).astype(np.uint8)
    elif bits == 12:
        grey = (numbers >> 4).astype(np.uint8)
    elif bits == 16:
        _check_range(numbers, 65535)
        grey = (numbers >> 8).astype(np.uint8)
    else:
        raise UnknownRangeError("nothing says which of its numbers is white; save it with 8 bits")
    if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    if isinstance(transparent := image.info.get("transparency"), int):
        grey[numbers == transparent] = 255
    return grey


def check_colours(image: Image.Image, high_bytes: np.ndarray, bits: int | None) -> None:
    """Check the 8 bits that Pillow leaves of each of a colour image's numbers.

    Args:
        image: as opened.
        high_bytes: its pixels, [height, width, channels].
        bits: of a number, as `bits_a_number` says.

    Raises:
        UnknownRangeError: they may mean several things.
    """
    if bits is None:
        raise UnknownRangeError("its numbers are signed; save it with unsigned ones")
    if bits == 16 and image.mode in ("LA", "RGB", "RGBA"):
        colours = high_bytes if image.mode == "RGB" else high_bytes[..., :-1]
        # All of them 0 may be numbers of 8 bits in 16.
        _check_range(np.maximum(colours.astype(int) << 8, 1), 65535)


def _check_range(numbers: np.ndarray, white: int) -> None:
    low, high = numbers.min(), numbers.max()
    # Of a picture that is all black nothing is to be known. The comparison is false for NaN, too.
    if not (low >= 0 and (high == 0 or LEAST_SHARE * white <= high <= white)):
        raise UnknownRangeError(
            f"its numbers go from {low:g} to {high:g}, and nothing says which one is white; save "
            f"it with numbers from 0 to {white}, or with 8 bits"
        )


def _tag(image: Image.Image, tag: int, default: int | None = None) -> int | None:
    """The first value of a TIFF's tag; the default where there is none, or no TIFF."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return value[0] if isinstance(value, tuple) else value
