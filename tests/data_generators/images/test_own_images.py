"""A user's own images: formats, sizes, splits, and what is left out."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_generators import DataError, Images
from data_generators.images import cache, own_images
from data_generators.images.file_tree import FolderTree
from data_generators.images.own_images import split_classes

SIZES = {"image_size": 20, "grey": False, "split_seed": 0, "per_class": 3}
SPLITS = ("train", "val", "test")
EPISODE = {"tasks": 4, "shot": 1, "query": 2}


def encoded(shade, kind="png", size=(30, 24), mode="RGB"):
    buffer = io.BytesIO()
    color = (shade, 255 - shade, 7) if mode == "RGB" else shade
    Image.new(mode, size, color).save(buffer, kind)
    return buffer.getvalue()


def class_folders(count, images=4):
    """Class "c03" has images of the shades 30, 31, 32, ..."""
    return {
        f"c{number:02}/{i}.png": encoded(10 * number + i)
        for number in range(count)
        for i in range(images)
    }


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return str(folder)


def load(tmp_path, files, way=2, **options):
    folder = write(tmp_path / "data", files)
    return Images.load(folder, str(tmp_path / "cache"), way, **{**SIZES, **options})


def names(source):
    return {
        split: [source.class_names[i] for i in source.class_ids(split)]
        for split in ("train", "val", "test")
    }


def test_episodes_show_distinct_images_of_their_classes(tmp_path):
    source = load(tmp_path, class_folders(8))
    for split, classes in names(source).items():
        episode = source.episodes(split, 0, 0, **EPISODE)
        assert episode.support_x.shape == (4, 2, 20, 20, 3)
        x = np.concatenate([episode.support_x, episode.query_x], axis=1)
        labels = np.concatenate([episode.support_y, episode.query_y], axis=1).argmax(-1)
        shades = np.rint(x[..., 10, 10, 0] * 255).astype(int)
        for task in range(4):
            assert len(set(shades[task])) == 6
            pairs = set(
                zip(labels[task], (f"c{shade // 10:02}" for shade in shades[task]), strict=True)
            )
            assert len(pairs) == 2
            assert {name for _, name in pairs} <= set(classes)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp", "tiff", "ppm"])
def test_formats_that_pillow_reads(tmp_path, kind):
    files = class_folders(6) | {"c00/0.png": encoded(0)}
    files[f"c00/extra.{kind}"] = encoded(99, kind)
    source = load(tmp_path, files)
    assert source._sizes.sum() == 25


@pytest.mark.parametrize(("grey", "channels"), [(False, 3), (True, 1)])
def test_size_and_colour_are_chosen(tmp_path, grey, channels):
    source = load(tmp_path, class_folders(6), image_size=33, grey=grey)
    assert source.input_shape == (33, 33, channels)
    x = source.episodes("train", 0, 0, **EPISODE).support_x
    assert x.shape == (4, 2, 33, 33, channels)
    assert 0 < np.max(x) <= 1


def test_splits_of_the_folder_are_kept(tmp_path):
    parts = {"train": range(3), "val": range(3, 5), "test": range(5, 8)}
    files = {
        f"top/{split}/c{number:02}/{i}.png": encoded(10 * number + i)
        for split, numbers in parts.items()
        for number in numbers
        for i in range(4)
    }
    expected = {split: [f"c{n:02}" for n in numbers] for split, numbers in parts.items()}
    assert names(load(tmp_path, files)) == expected


def test_splits_that_share_a_class_are_refused(tmp_path):
    files = {f"{split}/{c}/0.png": encoded(9) for split in ("train", "val", "test") for c in "ab"}
    with pytest.raises(DataError, match="class a is both in train and in val"):
        load(tmp_path, files)


def test_two_splits_of_three_are_refused(tmp_path):
    files = {f"{split}/{c}/0.png": encoded(9) for split in ("train", "test") for c in "abcdef"}
    with pytest.raises(DataError, match=r"in train/ and test/, but none in a folder for val"):
        load(tmp_path, files)


def test_a_folder_called_train_may_hold_all_classes(tmp_path):
    files = {f"train/{name}": data for name, data in class_folders(6).items()}
    assert sum(map(len, names(load(tmp_path, files)).values())) == 6


def split(tmp_path, count, way, seed, usable=None):
    labels = [f"c{i:03}" for i in range(count)]
    return split_classes(FolderTree(tmp_path), labels, usable or labels, way, seed)


def test_classes_are_split_by_the_seed_alone(tmp_path):
    splits = split(tmp_path, 100, 5, 0)
    assert {split: len(classes) for split, classes in splits.items()} == {
        "train": 64,
        "val": 16,
        "test": 20,
    }
    assert len({name for classes in splits.values() for name in classes}) == 100
    assert split(tmp_path, 100, 5, 0) == splits
    assert split(tmp_path, 100, 5, 1) != splits
    # Another number of examples per class leaves the splits as they are.
    assert split(tmp_path, 100, 2, 0) == splits


def test_the_split_is_that_of_earlier_versions(tmp_path):
    """As version 0.2.0 drew it; runs that it began go on with it."""
    assert split(tmp_path, 9, 2, 3) == {
        "train": ["c002", "c004", "c005", "c006", "c007"],
        "val": ["c000", "c003"],
        "test": ["c001", "c008"],
    }


@pytest.mark.parametrize(("count", "sizes"), [(6, (2, 2, 2)), (7, (3, 2, 2)), (10, (6, 2, 2))])
def test_every_split_has_enough_classes_for_an_episode(tmp_path, count, sizes):
    splits = split(tmp_path, count, 2, 0)
    assert tuple(len(splits[split]) for split in ("train", "val", "test")) == sizes


@pytest.mark.parametrize("seed", range(20))
def test_classes_left_out_never_leave_a_split_too_small(tmp_path, seed):
    usable = {f"c{i:03}" for i in range(0, 12, 2)}
    splits = split(tmp_path, 12, 2, seed, usable)
    assert {name for names in splits.values() for name in names} == usable
    assert [len(splits[split]) for split in ("train", "val", "test")] == [2, 2, 2]


def test_unreadable_images_are_named_counted_and_left_out(tmp_path, caplog):
    files = class_folders(6, images=5)
    files["c01/2.png"] = b"text"
    files["c04/0.png"] = files["c04/0.png"][:40]
    for _ in range(2):  # The second time from the cache.
        caplog.clear()
        source = load(tmp_path, files)
        assert "cannot read the image" in caplog.text
        assert "c01/2.png" in caplog.text
        assert "c04/0.png" in caplog.text
        assert "left out in all: image: 2" in caplog.messages
        assert source._sizes.sum() == 28
        for iteration in range(10):
            for split in ("train", "val", "test"):
                x = source.episodes(split, 0, iteration, **EPISODE).query_x
                assert np.all(np.max(x, axis=(2, 3, 4)) > 0)


def test_a_class_that_is_too_small_is_named_and_left_out(tmp_path, caplog):
    files = class_folders(8)
    before = names(load(tmp_path / "before", files))
    small, *others = before["train"]
    del files[f"{small}/1.png"], files[f"{small}/2.png"]
    after = names(load(tmp_path / "after", files))
    line = f"left out: class {small}: it has 2 readable images, an episode needs 3"
    assert caplog.messages == [line, "left out in all: class: 1"]
    assert after == before | {"train": others}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_folder_and_a_zip_are_the_same(tmp_path, packed):
    files = class_folders(6)
    path = write(tmp_path / "data", files)
    if packed:
        path = str(tmp_path / "data.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    source = Images.load(path, str(tmp_path / "cache"), 2, **SIZES)
    assert sorted(source.class_names) == [f"c{i:02}" for i in range(6)]


def test_too_few_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"has 5 classes with .*--num_classes=2.*6 together"):
        load(tmp_path, class_folders(5))


def test_too_few_classes_that_are_large_enough_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"has 0 classes with images enough for an episode"):
        load(tmp_path / "pooled", class_folders(6), per_class=5)
    files = {f"{s}/{s}{c}/{i}.png": encoded(9) for s in SPLITS for c in "ab" for i in range(3)}
    with pytest.raises(DataError, match=r"train split has 0 classes of at least 5 .* needs 2"):
        load(tmp_path / "split", files, per_class=5)


def test_an_image_that_can_be_read_again_is_used_again(tmp_path, caplog, monkeypatch):
    read = FolderTree.read

    def denied(tree, name):
        if name == "c01/2.png":
            raise DataError(f"cannot read {name}: Permission denied")
        return read(tree, name)

    with monkeypatch.context() as patch:
        patch.setattr(FolderTree, "read", denied)
        for _ in range(2):
            caplog.clear()
            assert load(tmp_path, class_folders(6))._sizes.sum() == 23
            assert "left out: cannot read c01/2.png: Permission denied" in caplog.messages
    caplog.clear()
    source = load(tmp_path, class_folders(6))
    assert caplog.messages == []
    assert source._sizes.sum() == 24
    assert source._pixels[:, 10, 10, 0].min() == 0  # c00/0.png alone
    assert np.count_nonzero(source._pixels[:, 10, 10, 0] == 12) == 1


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (["split_train.csv", "split_test.csv"], "split_test.csv, split_train.csv may be meant"),
        (["lists/train.txt", "lists/val.txt"], "lists/train.txt, lists/val.txt may be meant"),
        (["train.txt", "notes.txt"], None),
    ],
)
def test_lists_of_splits_that_are_not_read_are_named(tmp_path, caplog, lists, said):
    load(tmp_path, class_folders(8) | dict.fromkeys(lists, b"a"))
    found = [line for line in caplog.messages if "may be meant as lists of the splits" in line]
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_folders_of_classes_that_are_no_splits_are_named(tmp_path, caplog):
    """By any other name they could be splits all the same."""
    groups = ("uno", "due", "tre")
    load(tmp_path, {f"{groups[int(n[1:3]) % 3]}/{n}": d for n, d in class_folders(9).items()})
    assert caplog.messages == [
        "the classes of due/, tre/, uno/ are taken together, and split by --split_seed; folders "
        "of splits are called train/, val/ and test/"
    ]


@pytest.mark.parametrize("number", [0, -5, "a", 1.5])
def test_an_episode_needs_an_image_of_a_class(tmp_path, number):
    folder = write(tmp_path / "data", class_folders(8))
    with pytest.raises(DataError, match=f"^per_class must be a whole .*, got {number!r}"):
        Images.load(folder, str(tmp_path / "cache"), 2, **SIZES | {"per_class": number})


def test_the_order_of_the_splits_makes_no_other_cache(tmp_path):
    folder = write(tmp_path / "data", class_folders(8))
    for seed in range(3):
        Images.load(folder, str(tmp_path / "cache"), 2, **SIZES | {"split_seed": seed})
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1


def test_what_an_earlier_reader_made_of_the_images_is_not_taken(tmp_path, monkeypatch):
    folder = write(tmp_path / "data", class_folders(8))
    for version in (2, 3):
        monkeypatch.setattr(own_images, "READER_VERSION", version)
        Images.load(folder, str(tmp_path / "cache"), 2, **SIZES)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_split_files_say_the_classes(tmp_path):
    files = {
        f"images/{s}{c}/{i}.png": encoded(10 * n + i)
        for n, s in enumerate(SPLITS)
        for c in "ab"
        for i in range(3)
    }
    for s in SPLITS:
        rows = [f"{i}.png,{s}{c}" for c in "ab" for i in range(3)]
        files[f"{s}.csv"] = "\n".join(["filename,label", *rows]).encode()
    assert names(load(tmp_path, files)) == {s: [f"{s}a", f"{s}b"] for s in SPLITS}


def test_what_is_passed_over_is_said(tmp_path, caplog):
    files = class_folders(6) | {
        "c00/1.heic": b"",
        "c00/2.HEIC": b"",
        "c01/notes": b"",
        "train.csv": b"",
        "more/c00/1.png": encoded(5),
        "loose.png": encoded(5),
    }
    load(tmp_path, files, per_class=1)
    assert set(caplog.messages) == {
        "left out: image loose.png: it is in no class folder",
        "left out in all: image: 1",
        "passed over, as their names are not those of images: 1 .csv, 2 .heic, 1 without a suffix",
        "not read: train.csv; train, val and test need a file each",
        "taken as different classes: c00 and more/c00",
    }


def test_a_disk_without_room_is_said_before_an_image_is_read(tmp_path, caplog, monkeypatch):
    bytes_due = 24 * (20 * 20 * 3 + 1)
    usage = SimpleNamespace(free=bytes_due - 1)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(cache, "LARGE", bytes_due - 1)
    monkeypatch.setattr(cache, "read_image", lambda *_: pytest.fail("an image is read"))
    said = (
        r"^24 images of 20 pixels a side take 28.8 kB in .*/cache, where 28.8 kB are free: name ano"
    )
    with pytest.raises(DataError, match=said):
        load(tmp_path, class_folders(6))
    monkeypatch.undo()
    usage.free = bytes_due
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(cache, "LARGE", bytes_due - 1)
    load(tmp_path, class_folders(6))
    assert caplog.messages[0].startswith("24 images of 20 pixels a side take 28.8 kB, which are")


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["a.png", "b.txt"], "1 images that are in no class folder"),
        (["a/readme.txt", "b.heic"], "1 .heic, 1 .txt"),
        (["a/.1.png", ".b/1.png", "__MACOSX/a/1.png"], "3 passed over, as a name begins with a"),
        (["../1.png", "a/../../2.png"], "2 left out, such as ../1.png: a name that leads out of"),
    ],
)
def test_without_images_the_layout_is_explained(tmp_path, files, what):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in files:
            archive.writestr(name, b"text")
    with pytest.raises(DataError, match="is not a folder or zip of class folders") as caught:
        Images.load(str(tmp_path / "x.zip"), str(tmp_path), 2, **SIZES)
    assert f"; it has {what}" in str(caught.value)


def test_without_a_path_the_layout_is_explained(tmp_path):
    with pytest.raises(DataError, match="--data_path must name a folder or zip of class folders"):
        Images.load(None, str(tmp_path), 2, **SIZES)
