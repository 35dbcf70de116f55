"""Damaged files that the program wrote itself: models, checkpoints, caches, records, logs.

Of what carries checksums the answer is the undamaged file's, or a refusal. Of what version 0.2.0
wrote without them, what TensorFlow verifies itself: there it is no traceback that is asked for.
"""

import functools
import shutil
from pathlib import Path
from random import Random

import numpy as np
import tensorflow as tf
from PIL import Image

from data_generators.images.cache import open_image_cache
from data_generators.images.file_tree import FolderTree
from data_generators.images.omniglot_files import _read_cache as _read_omniglot_cache
from experiments.documents import read_document, write_document
from maml_tnet import MetaLearner
from maml_tnet.checksums import CHECKSUMS, checksums
from system.json_file import read_objects, write_json
from tests.fixtures import NEWEST
from utils.command.configuration import Config
from utils.prediction.loading import load_model, verify_model
from utils.prediction.model_input import input_of
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoint_files import CheckpointFolder
from utils.runs.checkpoints import Checkpoints
from utils.runs.folder import Run
from utils.runs.log_file import LogFile

from .damage import damaged

RUN = NEWEST / "sinusoid-5shot-mtnet-seed0"
MODEL = NEWEST / "images-2way-1shot-mtnet-seed0" / "saved_model"
CONFIG = Config.read(RUN / "config.json")
LOADED_IN = 10  # models of 0.2.0 whose damaged graph TensorFlow is given: one in so many


def _damage_one(files: list[Path], random: Random) -> Path:
    """Damage or remove one of the files."""
    file = random.choice(files)
    content = file.read_bytes()
    if not content or random.randrange(8) == 0:
        file.unlink()
    else:
        file.write_bytes(damaged(content, random))
    return file


def _read_config(random: Random, folder: Path) -> None:
    CONFIG.write(folder / "config.json")
    _damage_one([folder / "config.json"], random)
    assert Config.read(folder / "config.json") == CONFIG


def _read_environment(random: Random, folder: Path) -> None:
    starts = [{"command": "main.py", "python": "3.12.1"}, {"command": "x" * 40, "git": None}]
    write_json(folder / "environment.json", starts, indent=2)
    _damage_one([folder / "environment.json"], random)
    assert read_objects(folder / "environment.json") == starts


def _read_record(random: Random, folder: Path) -> None:
    values = np.random.RandomState(0).rand(20, 4).tolist()
    document = {"name": "x", "iterations": 60000, "evaluations": [{"per_task": values}]}
    write_document(folder / "x.json", document)
    if _damage_one([folder / "x.json"], random).exists():
        assert read_document(folder / "x.json") == document


def _read_log(random: Random, folder: Path) -> None:
    log, written = LogFile(folder), (RUN / "log.csv").read_bytes()
    log.path.write_bytes(written)
    sealed = random.random() < 0.5  # as version 0.3.0 and before did not
    if sealed:
        log.seal()
    gone = _damage_one([log.path, folder / "log.json"][: 1 + sealed], random)
    log.trim(20)
    if sealed and gone.exists():
        assert log.path.read_bytes() == written


@functools.cache
def _learner() -> MetaLearner:
    return build_learner(CONFIG, build_source(CONFIG, None, ""))


def _restored(folder: Path) -> list[np.ndarray]:
    learner = _learner()
    for variable in learner.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    assert Checkpoints(Run(folder, CONFIG), learner).restore_latest() in (0, 20)
    return [tf.convert_to_tensor(v).numpy() for v in learner.trainable_variables]


@functools.cache
def _weights() -> list[np.ndarray]:
    return _restored(RUN)


def _read_checkpoint(random: Random, folder: Path, *, earlier: bool) -> None:
    expected = _weights()
    shutil.copytree(RUN / "checkpoints", folder / "checkpoints")
    if not earlier:
        for name in (10, 20):
            # As it is saved, of the files that are there.
            CheckpointFolder(folder / "checkpoints", 10).save(name, lambda prefix: None)
    newest = [path for path in (folder / "checkpoints").iterdir() if "model-10" not in path.name]
    gone = _damage_one(sorted(newest), random)
    if gone.name == "checkpoint" and not gone.exists():
        return  # Then the newest that is readable is taken.
    for found, value in zip(_restored(folder), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def _read_model(random: Random, folder: Path, *, earlier: bool) -> None:
    model = folder / "model"
    shutil.copytree(MODEL, model)
    files = sorted(path for path in model.rglob("*") if path.is_file())
    if not earlier:
        names = [path.relative_to(model).as_posix() for path in files]
        (model / CHECKSUMS).write_text(checksums(model, names))
        files.append(model / CHECKSUMS)
        gone = _damage_one(files, random)
        # Without checksums it is a model of 0.2.0, which this is but for them.
        assert verify_model(model) is None
        assert gone.name == CHECKSUMS
        assert not gone.exists()
    elif random.randrange(LOADED_IN):
        _damage_one([model / "assets.extra" / "input.json", model / "saved_model.pb"], random)
        input_of(model)
    else:
        _damage_one([path for path in files if path.name != "fingerprint.pb"], random)
        load_model(model)


def _read_cache(random: Random, folder: Path) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (3, 4, 4, 3), np.uint8)
    (folder / "images").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
    tree = FolderTree(folder / "images")
    arguments = folder / "x.npy", tree, sorted(tree.files), 4
    open_image_cache(*arguments)
    _damage_one([folder / "x.npy", folder / "x.npy.json"], random)
    np.testing.assert_array_equal(open_image_cache(*arguments)["pixels"], pixels)


def _read_drawings(random: Random, folder: Path) -> None:
    np.savez_compressed(folder / "x.npz", names=np.array(["a", "b"]), images=np.zeros((2, 3), "u1"))
    _damage_one([folder / "x.npz"], random)
    assert _read_omniglot_cache(folder / "x.npz") is None


CASES = {
    "config.json": _read_config,
    "environment.json": _read_environment,
    "experiment record": _read_record,
    "log.csv": _read_log,
    "checkpoint": functools.partial(_read_checkpoint, earlier=False),
    "checkpoint of 0.2.0": functools.partial(_read_checkpoint, earlier=True),
    "model": functools.partial(_read_model, earlier=False),
    "model of 0.2.0": functools.partial(_read_model, earlier=True),
    "cache of images": _read_cache,
    "cache of Omniglot": _read_drawings,
}
