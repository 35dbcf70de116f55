"""What TensorFlow writes where a path is a pattern can be read again."""

import os
import shutil

import pytest
import tensorflow as tf

from maml_tnet.patterns import readable_folder, readable_prefix

NAMES = [
    "plain *?",
    "a [1]",
    "a[",
    "[1-9]",
    pytest.param("a\\b", marks=pytest.mark.skipif("os.sep != '/'")),
]


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_found_by_their_own_names(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    for number in (1, 11):
        tf.train.Checkpoint(value=tf.Variable(number)).write(str(folder / f"model-{number}"))
    with readable_prefix(str(folder / "model-1")) as prefix:
        reader = tf.train.load_checkpoint(prefix)
        assert reader.get_tensor("value/.ATTRIBUTES/VARIABLE_VALUE") == 1
        assert not os.path.exists(f"{prefix}1.index") or prefix == str(folder / "model-1")
    with (
        readable_prefix(str(folder / "none" / "model-1")) as prefix,
        pytest.raises((tf.errors.OpError, ValueError)),
    ):
        tf.train.load_checkpoint(prefix)


@pytest.mark.parametrize("name", NAMES)
def test_saved_models_are_found_by_their_own_names(name, tmp_path):
    module = tf.Module()
    module.value = tf.Variable(3)
    folder = str(tmp_path / name)
    tf.saved_model.save(module, folder)
    with readable_folder(folder) as found:
        loaded = tf.saved_model.load(found)
    assert loaded.value == 3
    shutil.rmtree(folder)
    with pytest.raises(OSError), readable_folder(folder) as found:  # noqa: PT011
        tf.saved_model.load(found)
