"""Damaged files of the user's data: images, zips, split files."""

import functools
import io
import zipfile
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from data_generators import DataError
from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FolderTree, ZipTree
from data_generators.images.split_files import find_split_files, read_split_files

from .damage import damaged

_SHADES = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
_ORIENTED = Image.Exif()
_ORIENTED[0x0112] = 6


def _encoded(kind: str, mode: str, **options: object) -> bytes:
    if mode == "I;16":
        image = Image.fromarray(_SHADES.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(_SHADES.astype(np.float32) / 255)
    elif mode == "P":
        image = Image.fromarray(_SHADES).quantize(16)
    else:
        image = Image.fromarray(_SHADES).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


IMAGES = {
    "png": [_encoded("PNG", mode) for mode in ("1", "L", "RGB", "RGBA", "I;16")]
    + [_encoded("PNG", "P", transparency=3), _encoded("PNG", "RGB", exif=_ORIENTED)],
    "jpeg": [_encoded("JPEG", mode) for mode in ("L", "RGB", "CMYK")]
    + [_encoded("JPEG", "RGB", exif=_ORIENTED, progressive=True)],
    "gif": [_encoded("GIF", mode) for mode in ("1", "L", "P")],
    "bmp": [_encoded("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")],
    "webp": [_encoded("WEBP", "RGB"), _encoded("WEBP", "RGBA", lossless=True, exif=_ORIENTED)],
    "tiff": [_encoded("TIFF", mode) for mode in ("1", "L", "P", "RGBA", "CMYK", "I;16", "F")]
    + [
        _encoded("TIFF", "RGB", compression=name)
        for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    ],
}


def _read_image(kind: str, random: Random, folder: Path) -> None:
    good = random.choice(IMAGES[kind])
    (folder / f"x.{kind}").write_bytes(damaged(good, random))
    found = read_image(FolderTree(folder), f"x.{kind}", "RGB", 24)
    assert found.shape == (24, 24, 3)
    if kind == "png":  # which carries checksums
        (folder / "good.png").write_bytes(good)
        expected = read_image(FolderTree(folder), "good.png", "RGB", 24)
        np.testing.assert_array_equal(found, expected)


FILES = {
    f"{split}/class {number}/{image}.png": bytes([number, image]) * 200
    for split in ("train", "val", "test")
    for number in range(2)
    for image in range(2)
} | {"train/.hidden.png": b"", "names.txt": b"text"}


def _zipped(compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.mkdir("train")
        for name, content in FILES.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _read_zip(random: Random, folder: Path) -> None:
    kind = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, 14])
    (folder / "x.zip").write_bytes(damaged(_zipped(kind), random))
    tree = ZipTree(folder / "x.zip")
    refusals = []
    for name in tree.files:
        try:
            content = tree.read(name)
        except DataError as error:
            refusals.append(error)
        else:
            assert content == FILES[name], name
    if refusals:
        raise refusals[0]
    assert set(tree.files) == set(FILES) - {"train/.hidden.png"}


def _read_split_files(random: Random, folder: Path) -> None:
    (folder / "images").mkdir()
    for split in ("train", "val", "test"):
        rows = [f"{split}{label}{image}.png,{split} {label}" for label in "ab" for image in "012"]
        for row in rows:
            (folder / "images" / row.split(",")[0]).touch()
        text = "\r\n".join(["filename,label", *rows]).encode()
        (folder / f"{split}.csv").write_bytes(damaged(text, random) if split == "val" else text)
    tree = FolderTree(folder)
    read_split_files(tree, find_split_files(tree))


CASES = {
    **{f"image {kind}": functools.partial(_read_image, kind) for kind in IMAGES},
    "zip": _read_zip,
    "split file": _read_split_files,
}
