"""Omniglot's layouts, its cache, and what is wrong with incomplete or damaged files."""

import io
import logging
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from data_generators import DataError
from data_generators.images import omniglot_files
from data_generators.images.omniglot_files import load_drawings

PARTS = {"images_background": ["Greek", "Latin"], "images_evaluation": ["Tengwar"]}


def png(side, seed):
    ink = np.random.default_rng(seed).random((side, side)) < 0.5
    buffer = io.BytesIO()
    Image.fromarray(ink).save(buffer, "png")
    return buffer.getvalue()


def tiny_files(side=105):
    """Two characters of three alphabets, 20 drawings each: path in the data set -> PNG."""
    names = [
        f"{part}/{alphabet}/character{c:02}/{c:04}_{d:02}.png"
        for part, alphabets in PARTS.items()
        for alphabet in alphabets
        for c in (1, 2)
        for d in range(1, 21)
    ]
    return {name: png(side, seed) for seed, name in enumerate(names)}


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_zips(folder, files):
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        write_zip(folder / f"{part}.zip", {n: d for n, d in files.items() if n.startswith(part)})


def write_folder(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A folder for data, while the data set has six characters only."""
    monkeypatch.setattr(
        omniglot_files, "CHARACTERS", {"images_background": 4, "images_evaluation": 2}
    )
    monkeypatch.setattr(omniglot_files, "TOTAL", 6)
    return tmp_path / "data"


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


def load(folder, cache):
    return load_drawings(str(folder), cache)


def expected_images(files):
    images = {}
    for name, data in files.items():
        image = Image.open(io.BytesIO(data)).convert("L")
        small = np.asarray(image.resize((28, 28), Image.Resampling.LANCZOS))
        images.setdefault("/".join(name.split("/")[1:3]), []).append(255 - small)
    return images


def write_mixed(folder, files):
    write_zips(folder, files)
    (folder / "images_evaluation.zip").unlink()
    write_folder(folder, {n: d for n, d in files.items() if n.startswith("images_evaluation")})


def write_pooled(folder, files):
    write_folder(folder, {name.split("/", 1)[1]: data for name, data in files.items()})


def write_original(folder, files):
    write_pooled(folder / "omniglot_resized", files)


@pytest.mark.parametrize("write", [write_zips, write_folder, write_mixed])
def test_zips_and_unpacked_folders_give_the_same_drawings(tiny, cache, write):
    files = tiny_files()
    write(tiny, files)
    drawings = load(tiny, cache)
    expected = expected_images(files)
    assert drawings.names == sorted(expected)
    assert drawings.images.dtype == np.uint8
    np.testing.assert_array_equal(drawings.images, [expected[name] for name in drawings.names])


@pytest.mark.parametrize("write", [write_pooled, write_original])
def test_the_resized_folder_of_the_original_program_is_read_as_it_is(tiny, cache, write):
    files = tiny_files(side=28)
    write(tiny, files)
    drawings = load(tiny, cache)
    assert len(drawings.names) == 6
    first = Image.open(io.BytesIO(files["images_background/Greek/character01/0001_01.png"]))
    np.testing.assert_array_equal(drawings.images[0, 0] == 0, np.asarray(first))


def test_the_cache_serves_the_same_drawings_without_reading_an_image(tiny, cache, monkeypatch):
    write_zips(tiny, tiny_files())
    first = load(tiny, cache)
    assert len(os.listdir(cache)) == 1
    monkeypatch.setattr(omniglot_files, "read_image", None)
    again = load(tiny, cache)
    assert again.names == first.names
    np.testing.assert_array_equal(again.images, first.images)


@pytest.mark.parametrize("write", [write_zips, write_folder])
def test_a_changed_source_is_not_served_from_the_old_cache(tiny, cache, write):
    files = tiny_files()
    write(tiny, files)
    old = load(tiny, cache)
    changed = "images_background/Greek/character01/0001_01.png"
    files[changed] = png(105, 12345)
    write(tiny, files)
    new = load(tiny, cache)
    assert (new.images[0, 0] != old.images[0, 0]).any()
    np.testing.assert_array_equal(new.images[1:], old.images[1:])


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


def other_array(path):
    with path.open("wb") as file:
        np.savez(file, names=np.array(["a"]), images=np.zeros((1, 20, 28, 28), np.uint8))


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, empty, other_array])
def test_a_damaged_cache_is_noticed_and_made_again(tiny, cache, tmp_path, damage, caplog):
    write_zips(tiny, tiny_files())
    first = load(tiny, cache)
    (file,) = (tmp_path / "cache").iterdir()
    damage(file)
    with caplog.at_level(logging.WARNING):
        again = load(tiny, cache)
    assert str(file) in caplog.text
    np.testing.assert_array_equal(again.images, first.images)
    caplog.clear()
    load(tiny, cache)
    assert not caplog.text


def test_a_cache_that_cannot_be_written_is_done_without(tiny, tmp_path, caplog):
    write_zips(tiny, tiny_files())
    (tmp_path / "file").touch()
    drawings = load(tiny, str(tmp_path / "file" / "cache"))
    assert len(drawings.names) == 6
    assert "going on without a cache" in caplog.text


def test_a_failure_while_the_cache_is_written_leaves_no_cache(tiny, cache, monkeypatch):
    write_zips(tiny, tiny_files())

    def fill_the_disk(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", fill_the_disk)
        load(tiny, cache)
    assert os.listdir(cache) == []


@pytest.mark.parametrize("folder_exists", [True, False])
def test_a_folder_without_omniglot_is_refused(tmp_path, cache, folder_exists):
    folder = tmp_path / "data"
    expected = f"^--data_path={folder} does not exist$"
    if folder_exists:
        folder.mkdir()
        expected = f"--data_path={folder} has no images_background.zip and no images_evaluation.zip"
    with pytest.raises(DataError, match=expected):
        load(folder, cache)


def test_one_zip_alone_is_refused(tiny, cache):
    write_zips(tiny, tiny_files())
    (tiny / "images_evaluation.zip").unlink()
    with pytest.raises(DataError, match=f"--data_path={tiny} has no images_evaluation.zip, nor"):
        load(tiny, cache)


def test_a_missing_character_is_counted(tiny, cache):
    files = tiny_files()
    write_zips(tiny, {n: d for n, d in files.items() if "Latin/character02" not in n})
    with pytest.raises(DataError, match=r"images_background\.zip .* 3 characters, expected 4"):
        load(tiny, cache)


def test_a_missing_drawing_is_counted(tiny, cache):
    files = tiny_files()
    del files["images_background/Latin/character02/0002_07.png"]
    write_folder(tiny, files)
    expected = r"images_background .* Latin/character02 has 19 drawings, expected 20"
    with pytest.raises(DataError, match=expected):
        load(tiny, cache)


def test_a_drawing_that_is_no_file_is_named(tiny, cache):
    write_folder(tiny, tiny_files())
    drawing = tiny / "images_background/Latin/character02/0002_07.png"
    drawing.unlink()
    drawing.symlink_to("/nowhere")
    with pytest.raises(DataError, match=r"19 drawings, expected 20; .*0002_07\.png: a link to no"):
        load(tiny, cache)


def test_the_same_alphabet_in_both_parts_is_refused(tiny, cache):
    files = tiny_files()
    write_zips(tiny, {name.replace("Tengwar", "Latin"): data for name, data in files.items()})
    with pytest.raises(DataError, match="4 different characters, expected 6"):
        load(tiny, cache)


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: b"text", lambda d: b""])
@pytest.mark.parametrize("write", [write_zips, write_folder])
def test_an_unreadable_drawing_is_named(tiny, cache, write, damage):
    files = tiny_files()
    name = "images_evaluation/Tengwar/character01/0001_03.png"
    files[name] = damage(files[name])
    write(tiny, files)
    with pytest.raises(DataError, match=f"cannot read the image .*{name}") as error:
        load(tiny, cache)
    assert "\n" not in str(error.value)
    assert "0x" not in str(error.value)  # an object in memory says nothing to a user
    assert not os.path.exists(cache)


def test_a_truncated_real_zip_is_named(tmp_path, cache, omniglot_path):
    for path in omniglot_path.glob("*.zip"):
        shutil.copyfile(path, tmp_path / path.name)
    damaged = tmp_path / "images_background.zip"
    os.truncate(damaged, damaged.stat().st_size - 100_000)
    with pytest.raises(DataError, match=f"{damaged} is not a complete zip file"):
        load(tmp_path, cache)


def test_a_damaged_drawing_in_a_real_zip_is_named(tmp_path, cache, omniglot_path):
    for path in omniglot_path.glob("*.zip"):
        shutil.copyfile(path, tmp_path / path.name)
    zip_path = tmp_path / "images_background.zip"
    with zipfile.ZipFile(zip_path) as archive:
        entries = archive.infolist()
        prefix = "images_background/Alphabet_of_the_Magi/character01/"
        entry = min(
            (e for e in entries if e.filename.startswith(prefix) and not e.is_dir()),
            key=lambda e: e.filename,
        )
    with zip_path.open("r+b") as file:
        file.seek(entry.header_offset + 30 + len(entry.filename) + 50)
        file.write(b"\xff" * 40)
    with pytest.raises(DataError, match=f"cannot read {zip_path}/{entry.filename}"):
        load(tmp_path, cache)


def test_the_real_zips_hold_all_characters(omniglot_path, omniglot_cache):
    drawings = load(omniglot_path, omniglot_cache)
    assert drawings.images.shape == (1623, 20, 28, 28)
    assert len({name.split("/")[0] for name in drawings.names}) == 50
