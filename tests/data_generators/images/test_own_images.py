"""A user's own images: formats, sizes, splits, and what is left out."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from data_generators import DataError, Images
from data_generators.images.file_tree import FolderTree
from data_generators.images.own_images import split_classes

SIZES = {"image_size": 20, "grey": False, "split_seed": 0, "per_class": 3}
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
    with pytest.raises(DataError, match=r"in train/ and test/, but none in val/: give all three"):
        load(tmp_path, files)


def test_a_folder_called_train_may_hold_all_classes(tmp_path):
    files = {f"train/{name}": data for name, data in class_folders(6).items()}
    assert sum(map(len, names(load(tmp_path, files)).values())) == 6


def test_classes_are_split_by_the_seed_alone(tmp_path):
    tree = FolderTree(tmp_path)
    tree.files = dict.fromkeys(f"c{i:03}/{j}.png" for i in range(100) for j in range(2))
    splits = split_classes(tree, 5, 0)
    assert {split: len(classes) for split, classes in splits.items()} == {
        "train": 64,
        "val": 16,
        "test": 20,
    }
    assert len({name for classes in splits.values() for name in classes}) == 100
    assert split_classes(tree, 5, 0) == splits
    assert split_classes(tree, 5, 1) != splits
    # Another number of examples per class leaves the splits as they are.
    assert {s: list(c) for s, c in split_classes(tree, 2, 0).items()} == {
        s: list(c) for s, c in splits.items()
    }


@pytest.mark.parametrize(("count", "sizes"), [(6, (2, 2, 2)), (7, (3, 2, 2)), (10, (6, 2, 2))])
def test_every_split_has_enough_classes_for_an_episode(tmp_path, count, sizes):
    tree = FolderTree(tmp_path)
    tree.files = dict.fromkeys(f"c{i:03}/0.png" for i in range(count))
    splits = split_classes(tree, 2, 0)
    assert tuple(len(splits[split]) for split in ("train", "val", "test")) == sizes


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
        assert "2 of the images are unreadable" in caplog.text
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
    assert f"class {small} of the train split has 2 images, an episode needs 3" in caplog.text
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
    with pytest.raises(DataError, match=r"has 5 folders of images.*--num_classes=2.*6 together"):
        load(tmp_path, class_folders(5))


def test_too_few_classes_that_are_large_enough_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"train split has 0 classes of at least 5 .* needs 2"):
        load(tmp_path, class_folders(6), per_class=5)


def test_without_images_the_layout_is_explained(tmp_path):
    for files in ({"a.png": encoded(1)}, {"a/readme.txt": b"text"}):
        with pytest.raises(DataError, match="is not a folder or zip of class folders"):
            load(tmp_path / str(len(files)), files)
    with pytest.raises(DataError, match="--data_path must name a folder or zip of class folders"):
        Images.load(None, str(tmp_path), 2, **SIZES)
