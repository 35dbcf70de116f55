"""The record of image data depends on the files' names and contents, and on nothing else."""

import os
import shutil
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from data_generators import Images, MiniImagenet
from data_generators.images.contents import Contents
from data_generators.images.file_tree import FolderTree

SIZES = {"way": 2, "image_size": 16, "grey": False, "split_seed": 0, "per_class": 2}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Class folders of train, val and test, each of two classes of three pictures."""
    root = tmp_path_factory.mktemp("pictures") / "data"
    random = np.random.RandomState(0)
    for number, split in enumerate(("train", "val", "test")):
        for label in range(2):
            folder = root / split / f"class{number}{label}"
            folder.mkdir(parents=True)
            for i in range(3):
                pixels = random.randint(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture
def copy(pictures, tmp_path):
    return shutil.copytree(pictures, tmp_path / "copy")


def record(folder, cache):
    return Images.load(str(folder), str(cache), **SIZES).data_record


@pytest.fixture(scope="module")
def expected(pictures, tmp_path_factory):
    return record(pictures, tmp_path_factory.mktemp("cache"))


def test_classes_are_named_by_split_and_counted(expected):
    assert {
        split: {name: found.images for name, found in classes.items()}
        for split, classes in expected.classes.items()
    } == {
        split: {f"class{number}{label}": 3 for label in range(2)}
        for number, split in enumerate(("train", "val", "test"))
    }


def test_place_times_and_order_of_the_files_do_not_matter(pictures, copy, tmp_path, expected):
    for file in copy.rglob("*.png"):
        os.utime(file, (0, 0))
    assert record(copy, tmp_path / "cache") == expected
    archive = tmp_path / "pictures.zip"
    files = sorted(pictures.rglob("*.png"), reverse=True)
    with zipfile.ZipFile(archive, "w") as writer:
        for file in files:
            writer.write(file, file.relative_to(pictures))
    assert record(archive, tmp_path / "cache") == expected
    # The same pixels for another data source are the same data.
    source = MiniImagenet.load(str(archive), str(tmp_path / "cache"), 2)
    assert source.data_record == expected


def test_other_files_of_the_same_names_sizes_and_dates_are_other_data(tmp_path):
    records = []
    for number, folder in enumerate((tmp_path / "a", tmp_path / "b")):
        for label in range(6):
            for image in range(3):
                file = folder / f"class{label}" / f"{image}.bmp"  # all of one size
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (8, 8), 100 * number + 10 * label + image).save(file)
                os.utime(file, (0, 0))
        records.append(record(folder, tmp_path / "cache"))
    assert records[0].differences(records[1])


CHANGES = {
    "a class is added": (
        lambda root: shutil.copytree(root / "val" / "class10", root / "val" / "class12"),
        "class class12 is in val there, missing here",
    ),
    "a class is renamed": (
        lambda root: (root / "val" / "class10").rename(root / "val" / "class12"),
        "class class10 is missing there, in val here",
    ),
    "a class moves to another split": (
        lambda root: [
            shutil.copytree(root / "test" / "class20", root / "test" / "class22"),
            (root / "test" / "class21").rename(root / "val" / "class21"),
        ],
        "class class21 is in val there, in test here",
    ),
    "an image is removed": (
        lambda root: (root / "train" / "class00" / "2.png").unlink(),
        "class class00 has 2 images there, 3 here",
    ),
    "two images change places": (
        lambda root: [
            (root / "train" / "class00" / "2.png").rename(root / "train" / "class00" / "3.png"),
            (root / "train" / "class00" / "1.png").rename(root / "train" / "class00" / "4.png"),
        ],
        "class class00 has other images there than here",
    ),
    "a pixel changes": (
        lambda root: Image.new("RGB", (16, 16)).save(root / "train" / "class01" / "0.png"),
        "class class01 has other images there than here",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_data_is_another_record_and_said(copy, tmp_path, expected, change):
    do, line = CHANGES[change]
    do(copy)
    found = record(copy, tmp_path / "cache")
    assert found.fingerprint != expected.fingerprint
    assert line in expected.differences(found)


def test_only_the_classes_that_are_trained_on_count(pictures, copy, tmp_path):
    def first_class(folder):
        return Images.load(
            str(folder), str(tmp_path / "cache"), num_train_classes=1, **SIZES | {"way": 1}
        ).data_record

    before = first_class(pictures)
    assert list(before.classes["train"]) == ["class00"]
    shutil.rmtree(copy / "train" / "class01")
    assert first_class(copy) == before


def test_files_are_read_once_and_again_where_the_cache_is_damaged(copy, tmp_path, monkeypatch):
    tree = FolderTree(copy)
    names = sorted(tree.files)
    files = [(tree, name) for name in names]
    cache = tmp_path / "cache"
    crcs = [zlib.crc32((copy / name).read_bytes()) for name in names]
    rows = np.arange(len(names))
    assert Contents(files, cache).checksums(rows).tolist() == crcs
    assert Contents(files, cache).checksums(rows[:2]).tolist() == crcs[:2]

    def no_reading(self, name):
        raise AssertionError(f"{name} is read again")

    with monkeypatch.context() as patch:
        patch.setattr(FolderTree, "read", no_reading)
        assert Contents(files, cache).checksums(rows).tolist() == crcs
    for damage in (lambda b: b[:-1], lambda b: bytes([b[0] ^ 1]) + b[1:], lambda b: b""):
        for file in cache.iterdir():
            file.write_bytes(damage(file.read_bytes()))
        assert Contents(files, cache).checksums(rows).tolist() == crcs
