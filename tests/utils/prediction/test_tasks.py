import os
from dataclasses import replace

import numpy as np
import pytest
from absl import flags
from plain_pictures import COLOURS, INPUT, plain

from data_generators import DataError, Omniglot, Polynomial
from utils.command import memory_needs
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError
from utils.prediction.tasks import held_out_task, read_queries, read_support


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    return config_from_flags(flag_values)


def test_class_folders_become_a_support_set(support):
    plain(support / "red" / "below" / "2.png", COLOURS["red"])
    found = read_support(str(support), INPUT)
    assert found.classes == ["blue", "green", "red"]
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 2]
    expected = np.array(list(COLOURS.values()))[found.labels, np.newaxis, np.newaxis] / 255
    np.testing.assert_allclose(found.x, np.broadcast_to(expected, [7, 16, 16, 3]), atol=1e-6)


def test_queries_are_files_folders_or_both(query):
    names = ["like-blue.bmp", "like-green.bmp", "like-red.bmp"]
    below = read_queries([str(query)], INPUT)
    assert below.names == names
    assert below.labels is None
    given = [str(query / name) for name in names]
    one = read_queries(given[1:2], INPUT)
    assert one.names == given[1:2]
    np.testing.assert_array_equal(one.x, below.x[1:2])
    both = read_queries([given[2], str(query), given[2]], INPUT)
    assert both.names == [given[2], *given[:2]]
    np.testing.assert_array_equal(both.x, below.x[[2, 0, 1]])


def test_a_file_that_is_named_itself_may_have_any_suffix(query, monkeypatch):
    (query / "like-red.bmp").rename(query / "drawing, of today")
    monkeypatch.chdir(query)
    assert read_queries(["drawing, of today"], INPUT).names == ["drawing, of today"]


def test_unreadable_images_are_named_counted_and_left_out(support, query, caplog):
    (support / "red" / "bad.png").write_bytes(b"text")
    (query / "bad.jpg").write_bytes(b"text")
    assert read_support(str(support), INPUT).x.shape == (6, 16, 16, 3)
    assert len(read_queries([str(query)], INPUT).x) == 3
    assert len(read_queries([str(query / "bad.jpg"), str(query / "like-red.bmp")], INPUT).x) == 1
    assert "red/bad.png" in caplog.text
    assert [r.message for r in caplog.records if "in all" in r.message] == [
        "left out in all: image: 1"
    ] * 3


def test_a_class_without_a_readable_image_is_refused(support):
    for file in (support / "red").iterdir():
        file.write_bytes(b"text")
    with pytest.raises(UsageError, match="class red has no readable image"):
        read_support(str(support), INPUT)


def test_one_class_alone_is_refused(tmp_path):
    plain(tmp_path / "red" / "0.png", COLOURS["red"])
    with pytest.raises(UsageError, match="has one class folder, red: give at least two"):
        read_support(str(tmp_path), INPUT)


def test_what_is_no_class_and_no_image_is_named(support, query, caplog):
    plain(support / "loose.png", (1, 2, 3))
    (support / "red" / "photo.heic").write_bytes(b"")
    os.mkfifo(query / "pipe.png")
    (query / "gone").symlink_to(query / "nowhere")
    assert len(read_support(str(support), INPUT).x) == 6
    assert len(read_queries([str(query)], INPUT).x) == 3
    pipe = str(query / "pipe.png")
    assert len(read_queries([str(query / "like-red.bmp"), pipe], INPUT).x) == 1
    for line in (
        "left out: image loose.png: it is in no class folder",
        "--support: passed over, not images by their names: 1 .heic",
        "left out: path pipe.png: neither a file nor a folder",
        "left out: path gone: a link to nothing",
        f"left out: path {pipe}: neither a file nor a folder",
    ):
        assert line in caplog.messages


def test_names_that_are_no_utf_8_are_printable(support, query):
    odd = os.fsdecode(b"n\xe9e")
    (support / "red").rename(support / odd)
    plain(query / f"{odd}.png", (1, 2, 3))
    assert read_support(str(support), INPUT).classes == ["blue", "green", "n\\xe9e"]
    assert read_queries([str(query)], INPUT).names[-1] == "n\\xe9e.png"


def test_an_image_of_two_classes_is_named(support, caplog):
    plain(support / "red" / "9.png", COLOURS["blue"])
    assert len(read_support(str(support), INPUT).x) == 7
    assert caplog.messages == ["the same image in several classes: blue/0.png = red/9.png"]


def test_class_folders_that_look_alike_are_refused(support):
    plain(support / "red " / "0.png", COLOURS["red"])
    with pytest.raises(DataError, match="'red ' and 'red' differ in blanks"):
        read_support(str(support), INPUT)


def test_the_splits_of_a_data_set_are_not_its_classes(tmp_path, caplog):
    for split in ("Train", "val", "test"):
        for name, colour in COLOURS.items():
            plain(tmp_path / "data" / split / name / "0.png", colour)
    said = f"has Train/, test/, val/ with folders of classes .* such as --support={tmp_path}/data/T"
    with pytest.raises(UsageError, match=said):
        read_support(f"{tmp_path}/data", INPUT)
    assert read_support(f"{tmp_path}/data/val", INPUT).classes == list(COLOURS)
    for split, name in (("test", "blue"), ("train", "red")):
        plain(tmp_path / "rail" / split / "0.png", COLOURS[name])
    assert read_support(f"{tmp_path}/rail", INPUT).classes == ["test", "train"]
    assert caplog.messages == ["taken as classes, though they are named like splits: test, train"]


def test_a_class_of_several_folders_is_named(tmp_path, caplog):
    for path, name in (("animals/cat", "red"), ("animals/dog", "red"), ("plants", "green")):
        plain(tmp_path / path / "0.png", COLOURS[name])
    assert read_support(str(tmp_path), INPUT).labels.tolist() == [0, 0, 1]
    assert caplog.messages == [
        "taken as one class each, with all that lies below: animals (2 folders)"
    ]


def test_folders_without_an_image_are_named(support, caplog):
    (support / "yellow").mkdir()
    (support / "white" / "below").mkdir(parents=True)
    (support / "white" / "below" / "0.heic").touch()
    (support / "red" / "notes").mkdir()
    (support / "red" / "notes" / "0.txt").touch()
    assert read_support(str(support), INPUT).classes == list(COLOURS)
    assert [message for message in caplog.messages if message.startswith("left out")] == [
        "left out: path yellow: an empty folder",
        "left out: folder white: it has no images, but 1 other files",
        "left out in all: path: 1, folder: 1",
    ]


def test_more_images_than_the_memory_holds_are_refused_unread(support, query, monkeypatch):
    monkeypatch.setattr(memory_needs, "memory_bytes", lambda: 3 * 16 * 16 * 3 * 4 - 1)
    said = "images need at least 0.0 GB of memory, and there are 0.0 GB; give fewer at a time"
    with pytest.raises(UsageError, match=f"^--support={support}: 6 {said}"):
        read_support(str(support), INPUT)
    with pytest.raises(UsageError, match=f"^--query={query}: 3 {said}"):
        read_queries([str(query)], INPUT)
    monkeypatch.setattr(memory_needs, "memory_bytes", lambda: 3 * 16 * 16 * 3 * 4)
    assert len(read_queries([str(query)], INPUT).x) == 3


def test_folders_that_do_not_fit_are_named(tmp_path, query):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=f"--support={tmp_path}/none is not a folder"):
        read_support(str(tmp_path / "none"), INPUT)
    with pytest.raises(UsageError, match=f"--support={empty} has no class folders"):
        read_support(str(empty), INPUT)
    with pytest.raises(UsageError, match=f"--query={empty} has no readable image"):
        read_queries([str(empty)], INPUT)
    with pytest.raises(UsageError, match=f"--query={tmp_path}/none is neither a file nor a folder"):
        read_queries([str(query), str(tmp_path / "none")], INPUT)


def test_a_task_of_the_test_split_is_the_one_that_its_source_draws():
    images = np.random.RandomState(0).randint(0, 256, (1300, 20, 28, 28), np.uint8)
    source = Omniglot([f"{i:04}" for i in range(1300)], images, 3)
    flags = ("--datasource=omniglot", "--num_classes=3", "--update_batch_size=2", "--seed=4")
    support, queries = held_out_task(
        source, config(*flags, "--query_batch_size=4"), source.image_input
    )
    episode = source.held_out("test", [4], shot=2, query=4)
    np.testing.assert_array_equal(support.x, episode.support_x[0])
    np.testing.assert_array_equal(np.eye(3)[support.labels], episode.support_y[0])
    np.testing.assert_array_equal(queries.x, episode.query_x[0])
    np.testing.assert_array_equal(np.eye(3)[queries.labels], episode.query_y[0])
    assert support.classes == ["class 1", "class 2", "class 3"]
    for number, (name, label) in enumerate(zip(queries.names, queries.labels, strict=True)):
        assert name == f"query {number + 1} (class {label + 1})"


def test_a_task_of_other_images_than_the_model_takes_is_refused():
    """A model of Omniglot takes black as 1, other sources give it as 0."""
    images = np.zeros((1300, 20, 28, 28), np.uint8)
    source = Omniglot([f"{i:04}" for i in range(1300)], images, 3)
    takes = replace(source.image_input, ink_is_one=False)
    with pytest.raises(
        UsageError, match=r"takes .* grey, black = 0, but --datasource=omniglot .* black = 1$"
    ):
        held_out_task(source, config("--datasource=omniglot"), takes)


def test_a_source_without_images_has_nothing_to_classify():
    with pytest.raises(UsageError, match=r"needs --support and --query, or --datasource=omniglot"):
        held_out_task(Polynomial(1), config("--datasource=polynomial"), INPUT)
