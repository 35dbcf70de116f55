"""An export replaces an earlier one, and nothing else."""

import shutil

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from maml_tnet.checksums import CHECKSUMS, checksums
from maml_tnet.replacing import not_replaceable
from tests.fixtures import NEWEST


@pytest.fixture
def earlier(tmp_path):
    """An export of version 0.2.0."""
    model = NEWEST / "images-2way-1shot-mtnet-seed0" / "saved_model"
    return shutil.copytree(model, tmp_path / "earlier")


def test_a_new_folder_and_an_earlier_export_may_be_written(tmp_path, earlier):
    assert not_replaceable(tmp_path / "new") is None
    assert not_replaceable(earlier) is None


def test_what_is_no_saved_model_stays(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        assert not_replaceable(path) == "exists and is not a SavedModel"


def test_a_saved_model_of_another_program_stays(tmp_path):
    module = tf.Module()
    module.call = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([None], tf.float32)])
    for name, signatures in (("plain", None), ("served", module.call)):
        tf.saved_model.save(module, str(tmp_path / name), signatures=signatures)
        assert not_replaceable(tmp_path / name) == "holds a SavedModel of another program"


def test_a_model_that_has_learned_its_classes_is_an_export(tmp_path):
    there = saved_model_pb2.SavedModel()
    signatures = there.meta_graphs.add().signature_def
    signatures["serving_default"].inputs["images"].name = "x"
    signatures["answer"].inputs["query_x"].name = "y"
    (tmp_path / "saved_model.pb").write_bytes(there.SerializeToString())
    assert not_replaceable(tmp_path) is None


def test_one_that_is_damaged_stays(earlier):
    content = (earlier / "saved_model.pb").read_bytes()
    (earlier / "saved_model.pb").write_bytes(content[: len(content) // 2])
    assert not_replaceable(earlier) == "holds a SavedModel that is damaged"


def test_files_beside_an_export_that_it_did_not_write_stay(earlier):
    for name in (".DS_Store", "Thumbs.db", "variables/desktop.ini"):  # of file managers
        (earlier / name).touch()
    assert not_replaceable(earlier) is None
    (earlier / ".git").mkdir()
    assert not_replaceable(earlier) == "holds '.git', which no export wrote"
    (earlier / ".git").rmdir()
    (earlier / "notes.txt").touch()
    assert not_replaceable(earlier) == "holds 'notes.txt', which no export wrote"


def test_what_a_server_was_given_beside_an_export_stays(earlier):
    names = [p.relative_to(earlier).as_posix() for p in earlier.rglob("*") if p.is_file()]
    (earlier / CHECKSUMS).write_text(checksums(earlier, names))
    assert not_replaceable(earlier) is None
    warmup = "assets.extra/tf_serving_warmup_requests"
    (earlier / warmup).touch()
    assert not_replaceable(earlier) == f"holds {warmup!r}, which no export wrote"
