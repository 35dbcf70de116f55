"""miniImagenet's episodes, layouts and memory-mapped cache, on made-up images and photographs."""

import csv
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_generators import DataError, MiniImagenet
from data_generators.images import cache as image_cache
from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FolderTree
from data_generators.images.miniimagenet import list_classes

CLASSES = {"train": ["ant", "bee", "cat"], "val": ["dog", "eel"], "test": ["fox", "gnu"]}
COUNTS = {"ant": 4, "bee": 6, "cat": 5, "dog": 4, "eel": 4, "fox": 7, "gnu": 4}


def image_bytes(shade, size=(84, 84), kind="png"):
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, 255 - shade, 7)).save(buffer, kind)
    return buffer.getvalue()


def made_up():
    """Map (split, class, file name) to a PNG of one shade, different in every image."""
    keys = [
        (split, label, f"{label}{i}.png")
        for split, labels in CLASSES.items()
        for label in labels
        for i in range(COUNTS[label])
    ]
    return {key: image_bytes(shade) for shade, key in enumerate(keys)}


SHADES = {key: shade for shade, key in enumerate(made_up())}


def folders(images):
    return {"/".join(key): data for key, data in images.items()}


def csv_layout(images):
    files = {f"images/{name}": data for (_, _, name), data in images.items()}
    for split in CLASSES:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["filename", "label"])
        writer.writerows((name, label) for s, label, name in images if s == split)
        files[f"{split}.csv"] = text.getvalue().encode()
    return files


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return str(folder)


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "data", folders(made_up()))


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


def shades(x):
    """Return the shade of every image, after checking that it is one of `made_up`."""
    pixels = np.rint(np.asarray(x) * 255).astype(int)
    shade = pixels[..., 0, 0, 0]
    expected = np.stack([shade, 255 - shade, np.full_like(shade, 7)], axis=-1)
    np.testing.assert_array_equal(
        pixels, np.broadcast_to(expected[:, :, None, None, :], pixels.shape)
    )
    return shade


SIZES = {"tasks": 6, "shot": 1, "query": 3}


def check_episodes(source, split):
    label_of = {shade: label for (_, label, _), shade in SHADES.items()}
    episode = source.episodes(split, 0, 0, **SIZES)
    shown = np.concatenate([shades(episode.support_x), shades(episode.query_x)], axis=1)
    labels = np.argmax(np.concatenate([episode.support_y, episode.query_y], axis=1), axis=-1)
    for task in range(SIZES["tasks"]):
        pairs = {(labels[task][i], label_of[shown[task][i]]) for i in range(8)}
        assert len(pairs) == 2  # A label for each class, a class for each label.
        assert {name for _, name in pairs} <= set(CLASSES[split])
        assert len(set(shown[task])) == 8


def as_zip(tmp_path, files):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


def below(top, files):
    return {f"{top}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", [folders, csv_layout])
@pytest.mark.parametrize("top", ["", "mini"])
def test_every_layout_gives_labelled_distinct_images_of_the_split(
    tmp_path, cache, layout, packed, top
):
    files = layout(made_up())
    if top:
        files = below(top, files)
    path = as_zip(tmp_path, files) if packed else write(tmp_path / "data", files)
    source = MiniImagenet.load(path, cache, 2)
    for split, classes in CLASSES.items():
        assert [source.class_names[i] for i in source.class_ids(split)] == classes
        check_episodes(source, split)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("train/", "meta-train/"),
        ("val", "Validation"),
        ("test/", "TEST/"),
        ("/ant0", "/more/ant0"),
    ],
)
def test_class_folders_under_the_names_that_people_give(tmp_path, old, new):
    files = {name.replace(old, new, 1): b"" for name in folders(made_up())}
    found = list_classes(FolderTree(Path(write(tmp_path, files))))
    assert {split: list(classes) for split, classes in found.items()} == CLASSES
    assert {c: len(f) for classes in found.values() for c, f in classes.items()} == COUNTS


def test_split_files_may_have_other_names_and_class_folders(tmp_path):
    files = csv_layout(made_up())
    files["Valid.CSV"] = files.pop("val.csv")
    for _, label, name in made_up():
        files[f"images/{label}/{name}"] = files.pop(f"images/{name}")
    found = list_classes(FolderTree(Path(write(tmp_path, files))))
    assert {split: list(classes) for split, classes in found.items()} == CLASSES
    assert found["val"]["dog"] == [f"images/dog/dog{i}.png" for i in range(4)]


def test_what_is_left_out_is_named(tmp_path, caplog):
    files = folders(made_up()) | {"train/loose.png": b"", "loose.png": b"", "more/hen/1.png": b""}
    list_classes(FolderTree(Path(write(tmp_path, files))))
    assert caplog.messages == [
        "left out: folder more/hen: 1 images that are not in train/, val/, test/",
        "left out: folder train: 1 images that are in no class folder",
        "left out: image loose.png: it is in no class folder",
        "left out in all: folder: 2, image: 1",
    ]


def test_all_images_of_a_split_come_with_their_classes(data, cache):
    source = MiniImagenet.load(data, cache, 2)
    for split, classes in CLASSES.items():
        pixels, labels = source.labelled_images(split)
        expected = [shade for key, shade in SHADES.items() if key[0] == split]
        np.testing.assert_array_equal(pixels[:, 40, 40, 0], expected)
        assert [classes[i] for i in labels] == [key[1] for key in SHADES if key[0] == split]


def test_other_sizes_and_formats_are_resized_to_84(tmp_path, cache):
    images = made_up()
    images["train", "ant", "ant0.jpg"] = image_bytes(9, (300, 200), "jpeg")
    del images["train", "ant", "ant0.png"]
    gradient = Image.fromarray(np.arange(120 * 100, dtype=np.uint8).reshape(100, 120))
    buffer = io.BytesIO()
    gradient.save(buffer, "png")
    images["train", "ant", "ant1.png"] = buffer.getvalue()
    MiniImagenet.load(write(tmp_path / "data", folders(images)), cache, 2)
    (file,) = (tmp_path / "cache").glob("*.npy")
    stored = np.load(file)
    jpeg = Image.open(io.BytesIO(images["train", "ant", "ant0.jpg"])).convert("RGB")
    for row, image in ((0, jpeg), (1, gradient.convert("RGB"))):
        expected = image.resize((84, 84), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(stored["pixels"][row], np.asarray(expected))


def test_same_arguments_give_the_same_bits_eagerly_and_traced(data, cache):
    source = MiniImagenet.load(data, cache, 2)
    first = source.episodes("train", 3, 11, **SIZES)
    traced = tf.function(lambda i: source.episodes("train", 3, i, **SIZES), autograph=False)
    for other in (source.episodes("train", 3, 11, **SIZES), traced(tf.constant(11))):
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert np.any(first.support_x != source.episodes("train", 3, 12, **SIZES).support_x)
    assert np.any(first.support_x != source.episodes("train", 4, 11, **SIZES).support_x)


def test_shapes_are_known_while_tracing(data, cache):
    source = MiniImagenet.load(data, cache, 2)
    traced = tf.function(lambda i: source.episodes("train", 3, i, **SIZES), autograph=False)
    outputs = traced.get_concrete_function(tf.TensorSpec([], tf.int32)).outputs
    assert [tuple(t.shape) for t in outputs] == [
        (6, 2, 84, 84, 3),
        (6, 2, 2),
        (6, 6, 84, 84, 3),
        (6, 6, 2),
    ]


def test_the_cache_is_mapped_and_built_once(data, cache, tmp_path, monkeypatch, capsys):
    first = MiniImagenet.load(data, cache, 2)
    assert "34/34 images" in capsys.readouterr().err
    again = MiniImagenet.load(data, cache, 2)
    assert capsys.readouterr().err == ""
    assert len(list(Path(cache).glob("*.npy"))) == 1
    assert isinstance(again._pixels.base, np.memmap)
    assert not again._pixels.flags.writeable
    np.testing.assert_array_equal(first._pixels, again._pixels)


def resident_kilobytes(path):
    """How much of a mapped file is in this process's memory, by the system's account."""
    with open("/proc/self/smaps") as file:
        lines = file.read().splitlines()
    (start,) = (i for i, line in enumerate(lines) if line.endswith(str(path)))
    (rss,) = (line for line in lines[start : start + 5] if line.startswith("Rss:"))
    return int(rss.split()[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="needs Linux's /proc")
def test_images_that_were_drawn_do_not_stay_in_memory(data, cache):
    source = MiniImagenet.load(data, cache, 2)
    (file,) = map(str, Path(cache).glob("*.npy"))
    total = os.path.getsize(file) // 1024
    source._pixels.sum()
    assert resident_kilobytes(file) > total - 8  # what touches all pages is seen
    for iteration in range(20):
        source.episodes("train", 0, iteration, **SIZES)
    assert resident_kilobytes(file) < total / 10


def test_a_changed_image_is_not_served_from_the_old_cache(data, cache):
    MiniImagenet.load(data, cache, 2)
    write_to = os.path.join(data, "train", "ant", "ant0.png")
    with open(write_to, "wb") as file:
        file.write(image_bytes(200))
    assert MiniImagenet.load(data, cache, 2)._pixels[0, 0, 0, 0] == 200


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def wrong_shape(path):
    np.save(path, np.zeros((3, 84, 84, 3), np.uint8))


def no_array(path):
    path.write_bytes(b"text")


def turn_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 4
    path.write_bytes(content)


def turn_a_bit_and_the_time_back(path):
    before = path.stat()
    turn_a_bit(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def without_a_checksum(path):
    path.with_name(f"{path.name}.json").unlink()


def with_a_checksum_that_is_damaged(path):
    path.with_name(f"{path.name}.json").write_text("{")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        wrong_shape,
        no_array,
        turn_a_bit,
        turn_a_bit_and_the_time_back,
        without_a_checksum,
        with_a_checksum_that_is_damaged,
    ],
)
def test_a_damaged_cache_is_noticed_and_made_again(data, cache, tmp_path, damage, caplog):
    first = np.array(MiniImagenet.load(data, cache, 2)._pixels)
    (file,) = (tmp_path / "cache").glob("*.npy")
    assert caplog.text == ""
    damage(file)
    np.testing.assert_array_equal(MiniImagenet.load(data, cache, 2)._pixels, first)
    assert str(file) in caplog.text
    caplog.clear()
    MiniImagenet.load(data, cache, 2)
    assert caplog.text == ""


def test_a_cache_is_compared_with_its_checksum_once(data, cache, tmp_path, monkeypatch):
    MiniImagenet.load(data, cache, 2)
    compared = []

    def digest(file, name):
        compared.append(Path(file.name).name)
        return file_digest(file, name)

    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", digest)
    MiniImagenet.load(data, cache, 2)
    assert compared == []
    (file,) = (tmp_path / "cache").glob("*.npy")
    os.utime(file)
    for _ in range(2):
        MiniImagenet.load(data, cache, 2)
        assert compared == [file.name]


BUILD_AND_STOP_AT_THE_11TH = """
import sys
from data_generators import MiniImagenet
from data_generators.images import cache as image_cache

image_cache.SYNC_EVERY = 4
read_image, names = image_cache.read_image, []

def read_ten(tree, name, *arguments):
    names.append(name)
    if len(names) == 11:
        print("ten are read", flush=True)
        sys.stdin.read()
    return read_image(tree, name, *arguments)

image_cache.read_image = read_ten
MiniImagenet.load(*sys.argv[1:], 2)
"""


def start_building(data, cache):
    """A process that has read ten images and waits."""
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILD_AND_STOP_AT_THE_11TH, data, cache],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert builder.stdout.readline() == b"ten are read\n"
    return builder


@pytest.fixture
def images_read(monkeypatch):
    names = []

    def read(tree, name, *arguments):
        names.append(name)
        return read_image(tree, name, *arguments)

    monkeypatch.setattr(image_cache, "read_image", read)
    monkeypatch.setattr(image_cache, "SYNC_EVERY", 4)
    return names


def test_a_cache_killed_half_way_is_finished_by_the_next_run(data, cache, images_read):
    with start_building(data, cache) as builder:
        assert len(list(Path(cache).glob("*.part"))) == 1
        builder.send_signal(signal.SIGKILL)
    source = MiniImagenet.load(data, cache, 2)
    assert len(images_read) == 34 - 8  # two times four had certainly reached the disk
    left = {Path(name).suffix for name in os.listdir(cache) if not name.startswith("contents-")}
    assert left == {".json", ".npy"}
    for split in CLASSES:
        check_episodes(source, split)


def test_of_a_damaged_half_only_the_good_blocks_are_taken(data, cache, images_read):
    whole = np.array(MiniImagenet.load(data, cache, 2)._pixels)
    for file in Path(cache).iterdir():
        file.unlink()
    with start_building(data, cache) as builder:
        builder.send_signal(signal.SIGKILL)
    (half,) = Path(cache).glob("*.part")
    content = bytearray(half.read_bytes())
    content[len(content) * 3 // 4] ^= 1  # in the second block
    half.write_bytes(content)
    images_read.clear()
    np.testing.assert_array_equal(MiniImagenet.load(data, cache, 2)._pixels, whole)
    assert len(images_read) == 34 - 4


def test_a_second_process_waits_for_the_first_and_reads_nothing(data, cache, images_read):
    with start_building(data, cache) as builder:
        threading.Timer(0.5, builder.stdin.close).start()
        source = MiniImagenet.load(data, cache, 2)
    assert images_read == []
    for split in CLASSES:
        check_episodes(source, split)


def test_images_changed_since_the_kill_are_read_again(data, cache, images_read):
    with start_building(data, cache) as builder:
        builder.send_signal(signal.SIGKILL)
    with open(os.path.join(data, "train", "ant", "ant0.png"), "wb") as file:
        file.write(image_bytes(200))
    assert MiniImagenet.load(data, cache, 2)._pixels[0, 0, 0, 0] == 200
    assert len(images_read) == 34


def test_a_full_disk_is_one_line_and_leaves_nothing(data, cache, monkeypatch):
    def fill_the_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_the_disk)
    with pytest.raises(DataError, match=r"cannot write the cache .* No space left on device"):
        MiniImagenet.load(data, cache, 2)
    assert os.listdir(cache) == []


def test_a_cache_folder_that_cannot_be_made_is_named(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"cannot write the cache .*{tmp_path}/file/cache"):
        MiniImagenet.load(data, str(tmp_path / "file" / "cache"), 2)


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: b"text", lambda d: b""])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_an_unreadable_image_is_named_and_leaves_no_cache(tmp_path, cache, damage, packed):
    files = folders(made_up())
    files["val/eel/eel2.png"] = damage(files["val/eel/eel2.png"])
    path = as_zip(tmp_path, files) if packed else write(tmp_path / "data", files)
    with pytest.raises(DataError, match=r"cannot read the image .*val/eel/eel2\.png") as error:
        MiniImagenet.load(path, cache, 2)
    assert "\n" not in str(error.value)
    assert os.listdir(cache) == []


def test_without_data_the_layout_is_explained(cache):
    with pytest.raises(DataError, match=r"cannot be downloaded: --data_path must .* train/, val/"):
        MiniImagenet.load(None, cache, 2)


def test_a_missing_folder_is_named(tmp_path, cache):
    with pytest.raises(DataError, match=f"--data_path={tmp_path}/none does not exist"):
        MiniImagenet.load(str(tmp_path / "none"), cache, 2)


def test_a_missing_split_is_refused(tmp_path, cache):
    images = {key: data for key, data in made_up().items() if key[0] != "val"}
    path = write(tmp_path / "data", folders(images))
    with pytest.raises(
        DataError, match=f"--data_path={path} has class folders in train/ and test/, but"
    ):
        MiniImagenet.load(path, cache, 2)


def test_a_truncated_zip_is_named(tmp_path, cache):
    path = as_zip(tmp_path, folders(made_up()))
    os.truncate(path, os.path.getsize(path) - 50)
    with pytest.raises(DataError, match=f"{path} is not a complete zip file"):
        MiniImagenet.load(path, cache, 2)


def test_a_class_in_two_splits_is_refused(tmp_path, cache):
    files = folders(made_up())
    files["test/bee/bee9.png"] = image_bytes(0)
    path = write(tmp_path / "data", files)
    with pytest.raises(DataError, match="class bee is both in train and in test"):
        MiniImagenet.load(path, cache, 2)


def test_an_image_that_a_csv_file_lists_must_be_there(tmp_path, cache):
    files = csv_layout(made_up())
    del files["images/dog1.png"]
    path = write(tmp_path / "data", files)
    with pytest.raises(
        DataError, match=r"images/dog1\.png is missing, which val\.csv, line 3 lists"
    ):
        MiniImagenet.load(path, cache, 2)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"filename,label\n", b"\xff\xfe\x00"])
def test_a_bad_csv_file_is_named(tmp_path, cache, content):
    files = csv_layout(made_up()) | {"val.csv": content}
    path = write(tmp_path / "data", files)
    with pytest.raises(
        DataError, match=r"val\.csv(, line 1: it is not text| is not a CSV| lists no images)"
    ):
        MiniImagenet.load(path, cache, 2)


def test_a_way_larger_than_the_split_is_refused(data, cache):
    with pytest.raises(DataError, match=r"--num_classes must be .* 3.* train split, got 4"):
        MiniImagenet.load(data, cache, 4)
    source = MiniImagenet.load(data, cache, 3)
    with pytest.raises(DataError, match=r"--num_classes must be .* 2.* val split, got 3"):
        source.episodes("val", 0, 0, tasks=1, shot=1, query=1)


def test_a_class_with_too_few_images_is_named(data, cache):
    source = MiniImagenet.load(data, cache, 2)
    with pytest.raises(DataError, match=r"--update_batch_size=2 with 3 query .* ant .* has 4"):
        source.episodes("train", 0, 0, tasks=1, shot=2, query=3)


def test_photographs_come_out_as_they_are_in_the_zip(photos_path, tmp_path):
    source = MiniImagenet.load(str(photos_path), str(tmp_path), 5)
    sizes = [len(source.class_ids(split)) for split in ("train", "val", "test")]
    assert sizes == [64, 16, 20]
    assert len(set(source.class_names)) == 100
    with zipfile.ZipFile(photos_path) as archive:
        raw = {}
        for name in archive.namelist():
            if "/val/" in name and name.endswith(".jpg"):
                pixels = np.asarray(Image.open(archive.open(name)).convert("RGB"))
                raw[pixels.tobytes()] = name.split("/")[-2]
    episode = source.episodes("val", 0, 0, tasks=4, shot=1, query=15)
    assert episode.query_x.shape == (4, 75, *source.input_shape)
    x = np.concatenate([episode.support_x, episode.query_x], axis=1)
    labels = np.argmax(np.concatenate([episode.support_y, episode.query_y], axis=1), axis=-1)
    for images, numbers in zip(np.rint(x * 255).astype(np.uint8), labels, strict=True):
        classes = {(n, raw[i.tobytes()]) for i, n in zip(images, numbers, strict=True)}
        assert len(classes) == 5
        assert len({name for _, name in classes}) == 5
