"""What TensorFlow writes where a path is a pattern can be read again."""

import os
import re
import shutil
import tempfile

import pytest
import tensorflow as tf

from maml_tnet.checksums import UnreadableError
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
    os.symlink("nowhere", os.path.join(folder, "note"))  # which TensorFlow does not read
    with readable_folder(folder) as found:
        loaded = tf.saved_model.load(found)
    assert loaded.value == 3
    shutil.rmtree(folder)
    with pytest.raises(OSError), readable_folder(folder) as found:  # noqa: PT011
        tf.saved_model.load(found)


def test_what_is_wrong_with_temporary_files_is_said_of_them(tmp_path, monkeypatch):
    (tmp_path / "t [1]").mkdir()
    for temporary in (tmp_path / "t [1]", tmp_path / "none"):
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        message = rf"^a \[1\], with .* none could be made there: .*{re.escape(str(temporary))}"
        with pytest.raises(UnreadableError, match=message), readable_folder("a [1]"):
            pass
