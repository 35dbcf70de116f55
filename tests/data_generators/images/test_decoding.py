"""Images come out as a viewer shows them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data_generators import DataError
from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FolderTree

SIDE = 8
LEFT_HALF = np.arange(SIDE) < SIDE // 2
RAMP = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)  # 0..63


def read(folder, image, mode="RGB", kind="png", **options):
    image.save(folder / f"x.{kind}", **options)
    return read_image(FolderTree(folder), f"x.{kind}", mode, SIDE)


def read_bytes(folder, data, mode="L", name="x.png"):
    (folder / name).write_bytes(data)
    return read_image(FolderTree(folder), name, mode, SIDE)


def one_half(shade, rest, shape=(SIDE, SIDE)):
    """A grey image whose left half is `shade`."""
    return np.where(LEFT_HALF, shade, np.broadcast_to(rest, shape)).astype(np.uint8)


def chunk(kind, content):
    """A chunk of a PNG file, as its specification says."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png16(numbers, *extra):
    """A PNG of 16-bit numbers [height, width, channels], written by the specification."""
    height, width, channels = numbers.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)


def tiff(content, bits, *, sample_format=1, photometric=1):
    """A grey, uncompressed little-endian TIFF of one strip, written by the specification."""
    tags = [
        (256, SIDE), (257, SIDE), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1),
        (278, SIDE), (279, len(content)), (339, sample_format),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = 8 + len(content) + len(content) % 2
    return (
        struct.pack("<2sHI", b"II", 42, start).ljust(8, b"\0")
        + content.ljust(start - 8, b"\0")
        + struct.pack("<H", len(tags))
        + directory
        + bytes(4)
    )


# How the EXIF specification says that the stored picture lies, and how NumPy turns it upright.
def test_a_png_without_its_palette_is_damaged(tmp_path):
    image = Image.fromarray(RAMP.astype(np.uint8), "P")
    image.putpalette(list(range(192)))
    data = io.BytesIO()
    image.save(data, "PNG")
    start = data.getvalue().index(b"PLTE") - 4
    (length,) = struct.unpack(">I", data.getvalue()[start : start + 4])
    cut = data.getvalue()[:start] + data.getvalue()[start + length + 12 :]
    with pytest.raises(DataError, match="its palette is missing"):
        read_bytes(tmp_path, cut)


def wide_tiff(content, tags):
    """A little-endian TIFF of one strip for every number of bytes, by the specification.

    Args:
        content: all strips.
        tags: (number, type 3 or 4, values) in order, of which those of 273 count from the content.
    """
    entries, values = b"", b""
    first = 8 + 2 + 12 * len(tags) + 4
    room = sum(len(v) * (2 if t == 3 else 4) for _, t, v in tags)
    for tag, kind, numbers in tags:
        if tag == 273:
            numbers = [first + room + number for number in numbers]
        packed = struct.pack(f"<{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        place = (
            struct.pack("<I", first + len(values)) if len(packed) > 4 else packed.ljust(4, b"\0")
        )
        values += packed if len(packed) > 4 else b""
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + place
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + entries + b"\0" * 4 + values.ljust(room, b"\0") + content


@pytest.mark.parametrize("bits", [8, 16])
def test_planes_of_16_bits_are_refused_and_of_8_bits_read(tmp_path, bits):
    """Pillow reads those of 16 bits as of 8."""
    picture = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1)
    scale = 257 if bits == 16 else 1
    planes = (picture.transpose(2, 0, 1) * scale).astype("<u2" if bits == 16 else "u1")
    size = planes[0].nbytes
    data = wide_tiff(
        planes.tobytes(),
        [
            (256, 3, [SIDE]), (257, 3, [SIDE]), (258, 3, [bits] * 3), (259, 3, [1]), (262, 3, [2]),
            (273, 4, [0, size, 2 * size]), (277, 3, [3]), (278, 3, [SIDE]), (279, 4, [size] * 3),
            (284, 3, [2]),
        ],
    )  # fmt: skip
    if bits == 8:
        found = read_bytes(tmp_path, data, "RGB", "x.tif")
        np.testing.assert_array_equal(found, picture)
        return
    with pytest.raises(DataError, match="planes of more than 8 bits, which Pillow reads wrongly"):
        read_bytes(tmp_path, data, "RGB", "x.tif")


@pytest.mark.parametrize("largest", [255, 255 * 257])
def test_a_palette_of_8_bits_is_refused_in_a_tiff(tmp_path, largest):
    colours = np.linspace(0, largest, 256).astype(int)
    data = wide_tiff(
        RAMP.astype(np.uint8).tobytes(),
        [
            (256, 3, [SIDE]), (257, 3, [SIDE]), (258, 3, [8]), (259, 3, [1]), (262, 3, [3]),
            (273, 4, [0]), (277, 3, [1]), (278, 3, [SIDE]), (279, 4, [RAMP.size]),
            (320, 3, [*colours] * 3),
        ],
    )  # fmt: skip
    if largest > 255:
        np.testing.assert_array_equal(read_bytes(tmp_path, data, name="x.tif"), RAMP)
        return
    with pytest.raises(DataError, match="its palette has numbers of 8 bits, where TIFF's have 16"):
        read_bytes(tmp_path, data, name="x.tif")


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (4, lambda x: x[::-1]),
        (5, lambda x: x.T),
        (6, lambda x: x.T[:, ::-1]),
        (7, lambda x: x[::-1, ::-1].T),
        (8, lambda x: x.T[::-1]),
    ],
)
def test_a_camera_held_upright(tmp_path, orientation, upright, kind):
    stored = (4 * RAMP).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "webp" else {}
    found = read(tmp_path, Image.fromarray(stored), "L", kind, exif=exif, **options)
    np.testing.assert_array_equal(found, upright(stored))


def test_sixteen_bits_held_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = (RAMP * 1024).astype(np.uint16)
    found = read(tmp_path, Image.fromarray(stored), "L", exif=exif)
    np.testing.assert_array_equal(found, stored.T[:, ::-1] // 256)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_ink_on_a_transparent_ground_is_seen(tmp_path, mode):
    alpha = one_half(255, 0)
    if mode == "P":
        image = Image.fromarray(one_half(1, 0)).convert("P")
        image.putpalette([0, 0, 0] * 2)
        options = {"transparency": 0}
    else:
        image, options = Image.new(mode, (SIDE, SIDE)), {}
        image.putalpha(Image.fromarray(alpha))
    np.testing.assert_array_equal(read(tmp_path, image, "L", **options), 255 - alpha)


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp", "gif"])
def test_one_bit_is_black_and_white(tmp_path, kind):
    ink = RAMP % 3 == 0
    found = read(tmp_path, Image.fromarray(ink), "L", kind)
    np.testing.assert_array_equal(found, np.where(ink, 255, 0))


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "tiff"])
def test_a_palette_gives_its_colours(tmp_path, kind):
    palette = np.random.default_rng(0).integers(0, 256, (64, 3), np.uint8)
    image = Image.fromarray(RAMP.astype(np.uint8)).convert("P")
    image.putpalette(palette.tobytes())
    np.testing.assert_array_equal(read(tmp_path, image, "RGB", kind), palette[RAMP])


@pytest.mark.parametrize("kind", ["tiff", "jpg"])
def test_printing_inks_give_their_colours(tmp_path, kind):
    inks = (200, 40, 0, 30)
    options = {"quality": 100} if kind == "jpg" else {}
    found = read(tmp_path, Image.new("CMYK", (SIDE, SIDE), inks), "RGB", kind, **options)
    light = [(255 - ink) * (255 - inks[3]) / 255 for ink in inks[:3]]
    assert np.abs(found - np.array(light)).max() <= 2


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bits_keep_their_shades(tmp_path, kind, mode):
    shades = (RAMP * 1024 + 255).astype(np.uint16)
    found = read(tmp_path, Image.fromarray(shades), mode, kind)
    np.testing.assert_array_equal(found.reshape(SIDE, SIDE, -1)[..., 0], shades // 256)


def test_sixteen_bits_of_a_portable_grey_map(tmp_path):
    numbers = (RAMP * 1024 + 255).astype(">u2")
    found = read_bytes(tmp_path, b"P5 8 8 65535 " + numbers.tobytes(), name="x.pgm")
    np.testing.assert_array_equal(found, numbers // 256)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_of_every_kind_of_png(tmp_path, channels):
    numbers = np.repeat((RAMP * 1024 + 255).astype(np.uint16)[..., np.newaxis], channels, axis=2)
    if channels in (2, 4):
        numbers[..., -1] = 65535  # opaque
    found = read_bytes(tmp_path, png16(numbers), "RGB")
    expected = np.repeat(numbers[..., :1] // 256, 3, axis=2)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_number_of_sixteen_bits_is_transparent(tmp_path, channels):
    numbers = np.full((SIDE, SIDE, channels), 40000, np.uint16)
    numbers[:4] = 20000
    clear = struct.pack(">H", 20000) * channels
    found = read_bytes(tmp_path, png16(numbers, (b"tRNS", clear)))
    assert (found[:4] == 255).all()
    assert (found[4:] == 40000 // 256).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("clear", [0, 1])
def test_one_grey_of_few_bits_is_transparent(tmp_path, bits, clear):
    shades = np.where(LEFT_HALF, clear, 1 - clear) * np.ones([SIDE, 1], int)
    spread = shades * (255 // (2**bits - 1))
    digits = (shades[..., np.newaxis] >> np.arange(bits)[::-1] & 1).reshape(SIDE, -1)
    rows = b"".join(b"\0" + bytes(row) for row in np.packbits(digits, axis=1))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, 0, 0, 0, 0)
    chunks = [
        *[(b"IHDR", header), (b"tRNS", struct.pack(">H", clear))],
        *[(b"IDAT", zlib.compress(rows)), (b"IEND", b"")],
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)
    found = read_bytes(tmp_path, data)
    np.testing.assert_array_equal(found, np.where(shades == clear, 255, spread))


def test_twelve_bits_that_the_file_declares(tmp_path):
    numbers = RAMP * 65  # 0..4095
    a, b = numbers.reshape(-1, 2).T
    packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=1).astype(np.uint8)
    found = read_bytes(tmp_path, tiff(packed.tobytes(), 12), name="x.tif")
    np.testing.assert_array_equal(found, numbers // 16)
    found = read_bytes(tmp_path, b"P5 8 8 4095 " + numbers.astype(">u2").tobytes(), name="x.pgm")
    assert np.abs(found - numbers / 16).max() <= 1


@pytest.mark.parametrize("bits", [16, 32])
def test_a_negative_is_turned(tmp_path, bits):
    if bits == 16:
        content, sample_format = (RAMP * 1024).astype("<u2").tobytes(), 1
    else:
        content, sample_format = (RAMP / 64).astype("<f4").tobytes(), 3
    data = tiff(content, bits, photometric=0, sample_format=sample_format)
    found = read_bytes(tmp_path, data, name="x.tif")
    assert np.abs(found - (255 - 4.0 * RAMP)).max() <= 1


def test_floats_from_black_0_to_white_1(tmp_path):
    shades = (RAMP / 63).astype(np.float32)
    found = read(tmp_path, Image.fromarray(shades), "L", "tiff")
    assert np.abs(found - 255 * shades).max() <= 0.5


SAVE_IT = "which one is white; save"
UNKNOWN = {
    "12 bits in 16": lambda: png16((RAMP * 65)[..., np.newaxis]),
    "14 bits in 16": lambda: png16((RAMP * 260)[..., np.newaxis]),
    "8 bits in 16": lambda: png16((RAMP * 4)[..., np.newaxis]),
    "12 bits in colours of 16": lambda: png16(np.repeat((RAMP * 65)[..., np.newaxis], 3, axis=2)),
    "8 bits in colours of 16": lambda: png16(np.repeat((RAMP * 4)[..., np.newaxis], 3, axis=2)),
    "12 bits in 16 of TIFF": lambda: tiff((RAMP * 65).astype("<u2").tobytes(), 16),
    "floats to 255": lambda: tiff((RAMP * 4.0).astype("<f4").tobytes(), 32, sample_format=3),
    "floats to 65535": lambda: tiff((RAMP * 1e3).astype("<f4").tobytes(), 32, sample_format=3),
    "negative floats": lambda: tiff((RAMP - 9.5).astype("<f4").tobytes(), 32, sample_format=3),
    "small floats": lambda: tiff((RAMP / 6400).astype("<f4").tobytes(), 32, sample_format=3),
    "no numbers": lambda: tiff((RAMP * np.nan).astype("<f4").tobytes(), 32, sample_format=3),
    "infinite": lambda: tiff(np.full(64, np.inf, "<f4").tobytes(), 32, sample_format=3),
    "32 bits": lambda: tiff((RAMP * 1000).astype("<u4").tobytes(), 32),
    "signed 32 bits": lambda: tiff((RAMP * 1000).astype("<i4").tobytes(), 32, sample_format=2),
    "signed 16 bits": lambda: tiff((RAMP * 500).astype("<i2").tobytes(), 16, sample_format=2),
    "signed 8 bits": lambda: tiff((RAMP - 32).astype("i1").tobytes(), 8, sample_format=2),
}


@pytest.mark.parametrize("what", UNKNOWN)
@pytest.mark.filterwarnings("error")
def test_numbers_of_unknown_meaning_are_refused_by_name(tmp_path, what):
    name = "x.png" if UNKNOWN[what]()[:1] == b"\x89" else "x.tif"
    with pytest.raises(DataError, match=rf"cannot read the image {tmp_path}/{name}: .*save") as e:
        read_bytes(tmp_path, UNKNOWN[what](), name=name)
    assert str(e.value).isprintable()


def test_sixteen_bits_that_are_all_black(tmp_path):
    assert not read_bytes(tmp_path, png16(np.zeros((SIDE, SIDE, 1), np.uint16))).any()


def test_what_a_library_prints_of_a_damaged_image_is_not_shown(tmp_path, capfd):
    Image.fromarray(RAMP.astype(np.uint8)).save(
        tmp_path / "x.tif", compression="tiff_adobe_deflate"
    )
    data = bytearray((tmp_path / "x.tif").read_bytes())
    data[10:30] = bytes(20)
    with pytest.raises(DataError, match=r"cannot read the image .*x\.tif: "):
        read_bytes(tmp_path, bytes(data), name="x.tif")
    assert capfd.readouterr() == ("", "")


def encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((SIDE, SIDE, 4), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


# Pillow raises a RuntimeError, a NotImplementedError and an AttributeError.
DAMAGED = {
    "x.avif": lambda: encoded("AVIF").partition(b"mdat")[0] + b"mdat" + bytes(100),
    "x.dds": lambda: encoded("DDS")[:80] + bytes(4) + encoded("DDS")[84:],
    "x.blp": lambda: b"BLP1" + b"\xff" * 200,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_line_whatever_pillow_raises(tmp_path, name):
    if name == "x.avif" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow does not write AVIF")
    with pytest.raises(DataError, match=rf"cannot read the image .*{name}: "):
        read_bytes(tmp_path, DAMAGED[name](), name=name)


def good_png():
    return png16(np.full((SIDE, SIDE, 3), 50000, np.uint16), (b"tEXt", b"a\0b"))


@pytest.mark.parametrize("kind", [b"IHDR", b"tEXt", b"IDAT", b"IEND"])
@pytest.mark.parametrize("place", ["content", "checksum"])
def test_every_checksum_of_a_png_is_compared(tmp_path, kind, place):
    data = bytearray(good_png())
    start = data.index(kind)
    length = int.from_bytes(data[start - 4 : start], "big")
    if place == "content" and length:
        data[start + 4 + length - 1] ^= 1
    else:
        data[start + 4 + length] ^= 1
    with pytest.raises(DataError, match=r"cannot read the image .*x\.png: .*"):
        read_bytes(tmp_path, bytes(data))


def test_a_png_without_its_end_is_cut_short(tmp_path):
    with pytest.raises(DataError, match="the PNG is cut short"):
        read_bytes(tmp_path, good_png()[:-12])
    read_bytes(tmp_path, good_png() + b"more")


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)
    with pytest.raises(DataError, match="3600000000 pixels"):
        read_bytes(tmp_path, data)


def test_postscript_is_not_given_to_another_program(tmp_path):
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    with pytest.raises(DataError, match="of no format that Pillow knows"):
        read_bytes(tmp_path, text)
