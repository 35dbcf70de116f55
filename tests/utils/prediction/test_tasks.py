import os
from dataclasses import replace

import numpy as np
import pytest
from absl import flags
from plain_pictures import COLOURS, INPUT, plain

from data_generators import DataError, Omniglot, Polynomial
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError
from utils.prediction.tasks import held_out_task, read_task


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    return config_from_flags(flag_values)


def test_unreadable_images_are_named_counted_and_left_out(support, query, caplog):
    (support / "red" / "bad.png").write_bytes(b"text")
    (query / "bad.jpg").write_bytes(b"text")
    task = read_task(str(support), str(query), INPUT)
    assert task.support_x.shape == (6, 16, 16, 3)
    assert len(task.query_x) == len(task.query_names) == 3
    assert task.query_labels is None
    assert "red/bad.png" in caplog.text
    assert [r.message for r in caplog.records if "in all" in r.message] == [
        "left out in all: image: 1"
    ] * 2


def test_a_class_without_a_readable_image_is_refused(support, query):
    for file in (support / "red").iterdir():
        file.write_bytes(b"text")
    with pytest.raises(UsageError, match="class red has no readable image"):
        read_task(str(support), str(query), INPUT)


def test_what_is_no_class_and_no_image_is_named(support, query, caplog):
    plain(support / "loose.png", (1, 2, 3))
    (support / "red" / "photo.heic").write_bytes(b"")
    os.mkfifo(query / "pipe.png")
    (query / "gone").symlink_to(query / "nowhere")
    task = read_task(str(support), str(query), INPUT)
    assert len(task.support_x) == 6
    assert len(task.query_x) == 3
    for line in (
        "left out: image loose.png: it is in no class folder",
        "--support: passed over, not images by their names: 1 .heic",
        "left out: path pipe.png: neither a file nor a folder",
        "left out: path gone: a link to nothing",
    ):
        assert line in caplog.messages


def test_names_that_are_no_utf_8_are_printable(support, query):
    odd = os.fsdecode(b"n\xe9e")
    (support / "red").rename(support / odd)
    plain(query / f"{odd}.png", (1, 2, 3))
    task = read_task(str(support), str(query), INPUT)
    assert task.classes == ["blue", "green", "n\\xe9e"]
    assert task.query_names[-1] == "n\\xe9e.png"


def test_class_folders_that_look_alike_are_refused(support, query):
    plain(support / "red " / "0.png", COLOURS["red"])
    with pytest.raises(DataError, match="'red ' and 'red' differ in blanks"):
        read_task(str(support), str(query), INPUT)


def test_folders_that_do_not_fit_are_named(tmp_path, support, query):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=f"--support={tmp_path}/none is not a folder"):
        read_task(str(tmp_path / "none"), str(query), INPUT)
    with pytest.raises(UsageError, match=f"--support={tmp_path}/empty has no class folders"):
        read_task(str(tmp_path / "empty"), str(query), INPUT)
    with pytest.raises(UsageError, match=f"--query={tmp_path}/empty has no readable image"):
        read_task(str(support), str(tmp_path / "empty"), INPUT)


def test_a_task_of_the_test_split_is_the_one_that_its_source_draws():
    images = np.random.RandomState(0).randint(0, 256, (1300, 20, 28, 28), np.uint8)
    source = Omniglot([f"{i:04}" for i in range(1300)], images, 3)
    flags = ("--datasource=omniglot", "--num_classes=3", "--update_batch_size=2", "--seed=4")
    task = held_out_task(source, config(*flags, "--query_batch_size=4"), source.image_input)
    episode = source.held_out("test", [4], shot=2, query=4)
    np.testing.assert_array_equal(task.support_x, episode.support_x[0])
    np.testing.assert_array_equal(np.eye(3)[task.support_labels], episode.support_y[0])
    np.testing.assert_array_equal(task.query_x, episode.query_x[0])
    np.testing.assert_array_equal(np.eye(3)[task.query_labels], episode.query_y[0])
    assert task.classes == ["class 1", "class 2", "class 3"]
    for number, (name, label) in enumerate(zip(task.query_names, task.query_labels, strict=True)):
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
