import json
import shutil
from dataclasses import replace

import numpy as np
import program
import pytest
import tensorflow as tf
from absl import flags
from tensorflow import keras

from utils.command.configuration import Config
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.folder import Run
from utils.runs.optimizers import evaluation_weights, meta_optimizer

try:
    import tensorflow_addons
except ImportError:
    tensorflow_addons = None
needs_addons = pytest.mark.skipif(
    tensorflow_addons is None, reason="TensorFlow Addons does not exist for this Python"
)
FLAGS = ("--use_T", "--use_M", "--update_batch_size=5", "--metatrain_iterations=8")
NAME = "sinusoid-5shot-mtnet-seed0"
ADDED = ("rectified_adam", "lookahead", "moving_average")


def test_adam_steps_by_the_learning_rate():
    optimizer = meta_optimizer("adam", 0.25)
    variable = tf.Variable([1.0, -2.0])
    optimizer.apply_gradients([(tf.constant([3.0, -0.5]), variable)])
    # Adam's first step is the learning rate times the gradient's sign.
    np.testing.assert_allclose(variable, [0.75, -1.75], atol=1e-5)
    assert isinstance(optimizer, keras.optimizers.Adam)


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"name must be adam, .* or moving_average, got 'sgd'"):
        meta_optimizer("sgd", 0.1)


@pytest.mark.skipif(tensorflow_addons is not None, reason="TensorFlow Addons is here")
@pytest.mark.parametrize("name", ADDED)
def test_addons_missing_is_said(name):
    with pytest.raises(UsageError, match=r"Addons is not installed here.*take Python 3\.11"):
        meta_optimizer(name, 0.1)


def test_adams_weights_are_evaluated_as_they_are():
    config = trained_config(json_of("adam"))
    learner = build_learner(config, build_source(config, None, ""))
    before = values(learner)
    with evaluation_weights(learner):
        assert_equal(values(learner), before)


def json_of(name):
    """A configuration's JSON."""
    flag_values = define(flags.FlagValues())
    parse(["main.py", *FLAGS, f"--meta_optimizer={name}"], flag_values)
    return json.dumps(config_from_flags(flag_values).to_dict())


def trained_config(text):
    return Config.from_dict(json.loads(text), "")


def values(learner):
    return [tf.convert_to_tensor(variable).numpy() for variable in learner.trainable_variables]


def assert_equal(here, there):
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Optimizer -> the folder of its run of 8 iterations with a checkpoint after each."""
    folders = {}

    def folder_of(name):
        if name not in folders:
            logdir = tmp_path_factory.mktemp(name)
            arguments = (*FLAGS, f"--logdir={logdir}", f"--meta_optimizer={name}", "--nolog")
            assert program.run(*arguments, per_epoch=1, only_train=True) == 0
            folders[name] = logdir / NAME
        return folders[name]

    return folder_of


def restored(folder, iteration):
    """The learner of a checkpoint."""
    config = Config.read(folder / "config.json")
    learner = build_learner(config, build_source(config, None, ""))
    if iteration:
        Checkpoints(Run(folder, config), learner).restore_iteration(iteration)
    return learner


@needs_addons
@pytest.mark.parametrize("name", ADDED)
def test_checkpoint_holds_the_moments_of_the_wrapped_optimizer(run_of, name):
    held = program.tensors(program.newest(run_of(name) / "checkpoints"))
    weights = sum(key.startswith("parameters/") for key in held)
    state = sum(key.startswith("optimizer/") for key in held)
    assert state == weights * (2 if name == "rectified_adam" else 3) + 1


@pytest.mark.parametrize(
    "name", ["adam", *(pytest.param(added, marks=needs_addons) for added in ADDED)]
)
def test_cooldown_scales_the_steps_and_is_the_same_in_one_go_prolonged_or_resumed(
    run_of, tmp_path, name
):
    cooled = (*FLAGS, f"--meta_optimizer={name}", "--nolog", "--cooldown=4")
    short = shutil.copytree(run_of(name), tmp_path / "prolonged" / NAME)
    program.rewind(short, 4)
    config = Config.read(short / "config.json")
    replace(config, metatrain_iterations=4).write(short / "config.json")
    for logdir in ("at once", "prolonged"):
        options = (f"--logdir={tmp_path / logdir}",)
        assert program.run(*cooled, *options, per_epoch=1, only_train=True) == 0
    folder = shutil.copytree(tmp_path / "at once" / NAME, tmp_path / "resumed" / NAME)
    program.rewind(folder, 6)
    resumed = (*cooled, f"--logdir={tmp_path / 'resumed'}")
    assert program.run(*resumed, per_epoch=1, only_train=True) == 0
    at_once = program.newest(tmp_path / "at once" / NAME / "checkpoints")
    for other in ("prolonged", "resumed"):
        checkpoint = program.newest(tmp_path / other / NAME / "checkpoints")
        program.assert_same_checkpoint(checkpoint, at_once)

    # From the same weights and moments, in the first of the four epochs that cool down.
    start, plain = (values(restored(run_of(name), i)) for i in (4, 5))
    slower = values(restored(tmp_path / "at once" / NAME, 5))
    for w, a, b in zip(start, plain, slower, strict=True):
        np.testing.assert_allclose(b - w, 3.5 / 4 * (a - w), rtol=1e-2, atol=1e-8)


@needs_addons
def test_moving_average_evaluates_the_average_and_gives_the_weights_back(run_of):
    path = [values(restored(run_of("moving_average"), i)) for i in range(9)]
    average = path[0]
    for weights in path[1:]:
        average = [0.99 * a + 0.01 * w for a, w in zip(average, weights, strict=True)]

    learner = restored(run_of("moving_average"), 8)
    with evaluation_weights(learner):
        for found, expected in zip(values(learner), average, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        assert any(np.any(a != b) for a, b in zip(values(learner), path[8], strict=True))
    assert_equal(values(learner), path[8])
    with pytest.raises(RuntimeError), evaluation_weights(learner):
        raise RuntimeError
    assert_equal(values(learner), path[8])


@needs_addons
def test_lookahead_steps_back_half_way_at_the_sixth_iteration(run_of):
    # MovingAverage trains by the same Adam, undisturbed.
    start, *_, five, six = (values(restored(run_of("moving_average"), i)) for i in (0, 5, 6))
    assert_equal(values(restored(run_of("lookahead"), 5)), five)
    for found, first, last in zip(
        values(restored(run_of("lookahead"), 6)), start, six, strict=True
    ):
        np.testing.assert_allclose(found, first + 0.5 * (last - first), rtol=1e-5, atol=1e-7)
