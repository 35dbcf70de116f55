"""A run's log ends where its checkpoint is, and damage to it is seen."""

import json
from types import SimpleNamespace

import pytest

from system.errors import FileError
from utils.runs.log_file import LogFile, WriteLog

LOG = "epoch,iteration,loss\r\n0,5.0,1.5\r\n1,10.0,1.25\r\n2,15.0,1.125\r\n"
HALF = LOG[: LOG.index("2,15")]


@pytest.fixture
def log(tmp_path):
    return LogFile(tmp_path)


def writing(log):
    writer = WriteLog(log)
    writer.set_model(SimpleNamespace(stop_training=False))
    writer.on_train_begin()
    return writer


def test_every_epoch_is_a_row_and_sealed(log):
    for rows in ((0, 1), (2,)):  # the second time it goes on
        writer = writing(log)
        for epoch in rows:
            writer.on_epoch_end(epoch, {"iteration": 5.0 * (epoch + 1), "loss": 1.5 - epoch / 4})
            log.check()
        writer.on_train_end()
    assert log.columns(("epoch", "iteration", "loss")) == [
        [0, 1, 2],
        [5, 10, 15],
        [1.5, 1.25, 1.0],
    ]


def test_a_full_disk_is_said_with_the_name_of_the_log(log):
    writer = writing(log)
    writer.csv_file.close()
    said = f"No space left on device: '{log.path}'"
    with open("/dev/full", "w") as writer.csv_file, pytest.raises(OSError, match=said):
        writer.on_epoch_end(0, {"iteration": 5.0})


@pytest.fixture
def sealed(log):
    """As it is after the second epoch."""
    log.path.write_bytes(HALF.encode())
    log.seal()
    return log


@pytest.mark.parametrize(
    ("text", "iteration", "kept"),
    [
        (LOG, 10, HALF),
        (LOG, 15, LOG),
        (LOG, 14, HALF),
        (LOG, 0, LOG[: LOG.index("0,5")]),
        (LOG[:-8], 15, HALF),  # half a row
        ("epoch,iter", 5, None),  # half a header
        ("", 5, None),
    ],
)
def test_log_is_trimmed_to_the_checkpoint(log, text, iteration, kept):
    log.path.write_bytes(text.encode())
    for _ in range(2):
        log.trim(iteration)
        assert (log.path.read_bytes().decode() if log.path.exists() else None) == kept


@pytest.mark.parametrize(
    "damaged",
    [
        LOG.replace("10.0", "many"),
        LOG.replace("iteration", "it"),
        LOG.replace("10.0", "15.0"),
        LOG + "1,10.0,1.25\r\n",
        LOG.replace("10.0", "NA"),
    ],
)
def test_a_damaged_log_is_one_line_and_left_as_it_is(log, damaged):
    log.path.write_bytes(damaged.encode())
    with pytest.raises(FileError, match=r"log\.csv is damaged"):
        log.trim(10)
    assert log.path.read_bytes() == damaged.encode()


def test_a_log_that_is_not_there_is_not_trimmed(log):
    log.trim(5)
    assert not log.path.exists()


def test_rows_that_a_killed_process_added_are_no_damage(sealed):
    sealed.path.write_bytes(LOG[:-3].encode())
    sealed.trim(10)
    assert sealed.path.read_bytes() == HALF.encode()


@pytest.mark.parametrize(
    "damaged", ["", HALF[:-1], HALF[: HALF.index("1,10")], HALF.replace("1.25", "1.26"), HALF[1:]]
)
def test_a_log_that_was_cut_or_changed_is_named(sealed, damaged):
    sealed.path.write_bytes(damaged.encode())
    said = r"log\.csv is damaged or was changed: it is not what log\.json says; put it back"
    for use in (lambda: sealed.trim(10), lambda: sealed.columns(("loss",))):
        with pytest.raises(FileError, match=said):
            use()
    assert sealed.path.read_bytes() == damaged.encode()


def test_a_log_that_was_removed_begins_anew(sealed):
    sealed.path.unlink()
    sealed.trim(10)
    sealed.path.write_bytes(LOG.encode())
    assert sealed.columns(("iteration",)) == [[5.0, 10.0, 15.0]]


@pytest.mark.parametrize("change", [{"bytes": "many"}, {"bytes": None}, {"bytes": -1}])
def test_a_damaged_seal_is_named(sealed, change):
    file = sealed.path.with_name("log.json")
    file.write_text(json.dumps(change))
    with pytest.raises(FileError, match=r"log\.json is damaged: remove it"):
        sealed.trim(10)
