"""Callbacks that count, in a run that is stopped and started again."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from maml_tnet import MetaLearner
from maml_tnet.any_model.callback_counts import CallbackCounts
from maml_tnet.checksums import ChecksumError

callbacks = keras.callbacks
EPOCHS = 12
# The measure of each epoch: improves twice, then never again.
MEASURES = [5.0, 4.0, *[4.5 + 0.1 * epoch for epoch in range(EPOCHS)]]


class Measures(callbacks.Callback):
    """Puts a measure into every epoch's logs, and stops the program at the end of one."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.stop_at = stop_at

    def on_epoch_end(self, epoch, logs=None):
        logs["measure"] = MEASURES[epoch]

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.stop_at:
            raise KeyboardInterrupt


def run(folder, first=False, stop_at=None, **options):
    """Train; returns the weights, the epochs' learning rates and the callbacks."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    learner = MetaLearner(network, update_lr=0.1)
    learner.compile(keras.optimizers.SGD(0.01), loss="mse", run_eagerly=True)
    x = np.linspace(-1, 1, 4, dtype="float32").reshape(1, 4, 1)
    episodes = tf.data.Dataset.from_tensors(
        {"support_x": x, "support_y": 2 * x, "query_x": x, "query_y": 2 * x}
    )
    keeps = [
        callbacks.ReduceLROnPlateau(
            "measure", mode="min", patience=2, factor=0.5, cooldown=1, min_delta=0
        ),
        callbacks.EarlyStopping("measure", mode="min", patience=7, restore_best_weights=True),
        callbacks.ModelCheckpoint(
            folder / "best-{epoch}.weights.h5",
            monitor="measure",
            mode="min",
            save_best_only=True,
            save_weights_only=True,
        ),
    ]
    backup = callbacks.BackupAndRestore(folder / "backup", **options)
    given = [Measures(stop_at), *keeps]
    history = learner.fit(
        episodes,
        epochs=EPOCHS,
        verbose=0,
        shuffle=False,
        callbacks=[backup, *given] if first else [*given, backup],
    ).history
    return [v.numpy() for v in learner.variables], history["learning_rate"], keeps


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


# Where the callbacks wait, cool down, and after the best epoch that is kept.
@pytest.mark.parametrize(("stop_at", "first"), [(1, True), (2, False), (5, False), (8, True)])
def test_a_stopped_run_decides_as_one_that_was_not(tmp_path, whole, stop_at, first):
    weights, rates, _ = whole
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, first, stop_at)
    ours, resumed_rates, (_, stopping, _) = run(tmp_path, first)
    assert resumed_rates == rates[stop_at:]
    assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (4.0, 1, 8)
    for value, expected in zip(ours, weights, strict=True):
        np.testing.assert_array_equal(value, expected)
    best = {"best-1.weights.h5", "best-2.weights.h5"}
    assert {path.name for path in tmp_path.iterdir()} == best


def test_what_was_counted_goes_with_the_backup(tmp_path):
    run(tmp_path, delete_checkpoint=False)
    kept = {path.name for path in (tmp_path / "backup").glob("callbacks*")}
    assert kept == {"callbacks-8.npz", "callbacks-9.npz"}


def test_counts_of_callbacks_that_are_no_longer_there_are_passed_over(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at=4)
    other = callbacks.EarlyStopping("measure")
    counts = CallbackCounts([other], tmp_path / "backup", {})
    counts.on_train_begin()
    other.on_train_begin()
    counts.on_epoch_begin(4)
    assert other.best is None


def test_a_backup_of_another_learner_is_named(tmp_path):
    made_with = {"update_lr": np.float32(0.5), "mask": None, "weights": [[1, 1], [1]]}
    counts = CallbackCounts([], tmp_path, made_with)
    other = made_with | {"mask": "unit", "weights": [[1, 2], [2]]}
    CallbackCounts([], tmp_path, other).on_train_begin()
    counts.on_train_begin()  # there is no backup yet
    (tmp_path / "latest.weights.h5").touch()  # by save_freq, within the first epoch
    CallbackCounts([], tmp_path, made_with).on_train_begin()
    message = f"^{tmp_path} is a backup of a learner with other mask, weights: name another backup"
    with pytest.raises(ValueError, match=message):
        CallbackCounts([], tmp_path, other).on_train_begin()
    (tmp_path / "learner.json").write_text("[1")
    with pytest.raises(ChecksumError, match=r"learner\.json is damaged: without .* anew$"):
        counts.on_train_begin()


def test_counts_that_are_damaged_are_named(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at=4)
    file = tmp_path / "backup" / "callbacks-4.npz"
    content = file.read_bytes()
    turned = bytearray(content)
    turned[content.index(b"NUMPY") + 130] ^= 255  # in what the first entry holds
    for damaged in (content[:20], b"", bytes(turned)):
        file.write_bytes(damaged)
        counts = CallbackCounts([callbacks.EarlyStopping("measure")], tmp_path / "backup", {})
        with pytest.raises(ChecksumError, match=r"callbacks-4\.npz is damaged: without "):
            counts.on_epoch_begin(4)


def test_counts_of_earlier_versions_are_given_back_and_other_names_are_damage(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at=4)
    file = tmp_path / "backup" / "callbacks-4.npz"
    with np.load(file) as stored:
        arrays = dict(stored)
    names = arrays.pop("names")
    assert set(names) == set(arrays)

    def given_back(**kept):
        np.savez(file, **kept)
        stopping = callbacks.EarlyStopping("measure")
        stopping.wait = -1
        others = [callbacks.Callback(), callbacks.Callback()]
        CallbackCounts([*others, stopping], tmp_path / "backup", {}).on_epoch_begin(4)
        return stopping.wait

    assert given_back(**arrays) == given_back(**arrays, names=names) >= 0
    arrays["2-EarlyStopping/waiv"] = arrays.pop("2-EarlyStopping/wait")  # a bit of the zip's list
    with pytest.raises(ChecksumError, match=r"callbacks-4\.npz is damaged: without "):
        given_back(**arrays, names=names)
