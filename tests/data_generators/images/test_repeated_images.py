"""Images that are there more than once are named, once, and counted."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_generators import Images, MiniImagenet, Omniglot
from data_generators.images.repeated_images import warn_of_repeated_images

SPLITS = {
    "train": {"cat": [0, 1], "dog": [2, 3]},
    "val": {"fish": [4, 5], "carp": [6, 7]},
    "test": {"tree": [8, 9]},
}


def lines(caplog, pictures, checksums=None, splits=SPLITS):
    """What is said of rows that have these pictures, of which those not named are all different."""
    rows = [row for classes in splits.values() for found in classes.values() for row in found]
    shown = {row: pictures.get(row, f"only {row}") for row in rows}
    caplog.clear()
    warn_of_repeated_images(
        splits,
        checksums or {row: hash(picture) for row, picture in shown.items()},
        picture=lambda row: shown[row].encode(),
        name=lambda row: f"{row}.png",
    )
    return [record.getMessage() for record in caplog.records]


def test_different_images_are_nothing_to_say(caplog):
    assert lines(caplog, {}) == []


def test_an_image_twice_in_a_class(caplog):
    assert lines(caplog, {0: "x", 1: "x", 4: "y", 5: "y"}) == [
        "the same image more than once in a class, where one can be support and the other query "
        "(2 in all): 0.png = 1.png, 4.png = 5.png"
    ]


def test_a_class_under_two_names(caplog):
    assert lines(caplog, {4: "x", 5: "y", 6: "y", 7: "x"}) == [
        "classes of the same images under several names (1 in all): fish = carp"
    ]


def test_an_image_in_two_classes_of_a_split(caplog):
    assert lines(caplog, {0: "x", 3: "x"}) == [
        "the same image in several classes of a split (1 in all): 0.png = 3.png"
    ]


def test_images_in_several_splits(caplog):
    assert lines(caplog, {0: "x", 4: "x", 1: "y", 8: "y", 2: "z", 9: "z"}) == [
        "the same image in several splits, which should share none: 1 in train and val, "
        "2 in train and test; 0.png = 4.png, 1.png = 8.png, 2.png = 9.png"
    ]


def test_of_many_the_first_are_named_and_all_counted(caplog):
    splits = {"train": {f"c{n}": [2 * n, 2 * n + 1] for n in range(9)}}
    [line] = lines(caplog, {row: str(row // 2) for row in range(18)}, splits=splits)
    assert "(9 in all): 0.png = 1.png, " in line
    assert line.endswith("8.png = 9.png and 4 more")


def test_equal_checksums_of_different_images_are_chance(caplog):
    same = dict.fromkeys(range(10), 7)
    assert lines(caplog, {}, same) == []
    assert lines(caplog, {8: "x", 9: "x"}, same) == [
        "the same image more than once in a class, where one can be support and the other query "
        "(1 in all): 8.png = 9.png"
    ]


@pytest.fixture
def folder(tmp_path):
    """Three class folders in each split, of three different images each."""
    shades = iter(np.random.default_rng(0).integers(0, 256, (27, 8, 8, 3), np.uint8))
    for split in ("train", "val", "test"):
        for label in "abc":
            place = tmp_path / "data" / split / f"{split}-{label}"
            place.mkdir(parents=True)
            for number in range(3):
                Image.fromarray(next(shades)).save(place / f"{number}.png")
    return tmp_path / "data"


def of_own_images(folder):
    sizes = {"image_size": 16, "grey": False, "split_seed": 0, "per_class": 2}
    return Images.load(str(folder), str(folder.parent / "cache"), 2, **sizes)


def of_miniimagenet(folder):
    return MiniImagenet.load(str(folder), str(folder.parent / "cache"), 2)


@pytest.mark.parametrize("load", [of_own_images, of_miniimagenet])
@pytest.mark.parametrize("zipped", [False, True])
def test_copies_and_links_in_a_users_data(folder, caplog, load, zipped):
    load(folder)
    assert caplog.records == []
    first = folder / "train" / "train-a" / "0.png"
    shutil.copy(first, first.with_name("copy.png"))
    os.link(first, first.with_name("hard.png"))
    first.with_name("link.png").symlink_to("0.png")
    shutil.copy(first, folder / "test" / "test-c")
    shutil.copytree(folder / "val" / "val-a", folder / "val" / "val-d")
    if zipped:
        folder = Path(shutil.make_archive(str(folder), "zip", folder))
    load(folder)
    a = "train/train-a/"
    names = f"{a}0.png = {a}copy.png = {a}hard.png = {a}link.png"
    assert [record.getMessage() for record in caplog.records] == [
        "the same image more than once in a class, where one can be support and the other query "
        f"(1 in all): {names}",
        "classes of the same images under several names (1 in all): val-a = val-d",
        "the same image in several splits, which should share none: 1 in train and test; "
        f"{names} = test/test-c/0.png",
    ]


def test_the_real_omniglot_is_known(omniglot_path, omniglot_cache, caplog):
    omniglot = Omniglot.load(omniglot_path, omniglot_cache, way=5)
    assert not caplog.messages
    omniglot.warn_of_repeated_images()
    assert "(1 in all): images_background/Braille/character01" in caplog.messages[0]
