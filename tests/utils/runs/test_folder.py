import json
import os
import subprocess
import sys

import program
import pytest
import tensorflow as tf
from absl import flags

from data_generators import DataRecord
from data_generators.data_record import image_class
from system.errors import FileError
from utils.command.configuration import Config
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError
from utils.runs.folder import Run
from utils.runs.used_data import UsedData


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", "--dim_hidden=3", *arguments], flag_values)
    return config_from_flags(flag_values)


@pytest.fixture
def run(tmp_path):
    return Run.named_by(config(), str(tmp_path))


def test_run_folder_has_the_configurations_name(tmp_path, run):
    assert run.folder == tmp_path / "sinusoid-10shot-maml-seed0"


def test_start_records_configuration_and_every_start(run):
    run.start(resume=True)
    run.start(resume=True)
    assert Config.read(run.folder / "config.json") == run.config
    starts = json.loads((run.folder / "environment.json").read_text())
    assert [start["tensorflow"] for start in starts] == [tf.__version__] * 2


def test_configuration_remembers_the_most_iterations_asked_for(tmp_path):
    for iterations, remembered in ((200, 200), (100, 200), (300, 300)):
        settings = config(f"--metatrain_iterations={iterations}")
        run = Run.named_by(settings, str(tmp_path))
        run.start(resume=True)
        stored = Config.read(run.folder / "config.json")
        assert stored.metatrain_iterations == remembered


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '["a"]', "7", "[" * 10_000])
def test_garbled_environment_is_one_line(run, text):
    run.start(resume=True)
    (run.folder / "environment.json").write_text(text)
    with pytest.raises(FileError, match=r"environment\.json (is not JSON|must hold)"):
        run.start(resume=True)


@pytest.mark.parametrize("folder", ["tensorboard", "checkpoints", "best", "evaluation"])
def test_a_file_in_the_place_of_a_folder_is_named(run, folder):
    run.folder.mkdir()
    (run.folder / folder).touch()
    with pytest.raises(UsageError, match=f"{folder} is a file where a run has a folder"):
        run.start(resume=True)


def test_a_run_of_another_tensorflow_says_so(run, monkeypatch):
    assert run.other_version() == ""
    run.start(resume=True)
    assert run.other_version() == ""
    here = tf.__version__
    monkeypatch.setattr(tf, "__version__", "9.9")
    run.start(resume=True)  # as when it is to go on
    assert run.other_version() == f"it was trained with TensorFlow {here}, this is 9.9"


def test_a_link_to_nothing_in_the_place_of_a_folder_is_named(run):
    """Such as to a disk that is not there: without this the run would be trained anew."""
    run.folder.mkdir()
    (run.folder / "checkpoints").symlink_to("nowhere")
    with pytest.raises(UsageError, match="checkpoints is a link to nothing where a run has a fo"):
        run.start(resume=True)


def test_what_was_killed_is_removed_at_the_next_start_of_its_run_alone(run):
    hexadecimal = "0123456789abcdef" * 2
    other = run.folder.with_name("another")
    remains = [
        "checkpoints/model-7_temp/part-00000-of-00001",
        "checkpoints/model-7.data-00000-of-00001",
        "checkpoints/model-8.index",
        "checkpoints/checkpoint.tmp0123",
        "best/model-7_temp/part-00000-of-00001",
        f"checkpoints/.checkpoint.{hexadecimal}.part",
        f".config.json.{hexadecimal}.part",
        f"evaluation/.test.png.{hexadecimal}.part",
        f".saved_model.{hexadecimal}.tmp/saved_model.pb",
    ]
    kept = [
        "checkpoints/model-5.data-00000-of-00001",
        "checkpoints/model-5.index",
        "checkpoints/model-5 (copy).index",
        "evaluation/notes.part",
    ]
    run.start(resume=True)
    for folder in (run.folder, other):
        for name in (*remains, *kept):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    run.start(resume=True)
    here = {p.relative_to(run.folder).as_posix() for p in run.folder.rglob("*") if p.is_file()}
    assert here == {*kept, "config.json", "environment.json", ".lock"}
    assert not (run.folder / "checkpoints" / "model-7_temp").exists()
    assert all((other / name).exists() for name in remains)


def test_checkpoints_without_configuration_are_refused(run):
    run.checkpoint_folder.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"holds checkpoints but no config\.json"):
        run.start(resume=True)


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_is_trained_by_one_process_at_a_time(run, resume):
    run.folder.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.folder / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="is being trained by another process"):
            run.start(resume=resume)
        assert [path.name for path in run.folder.parent.iterdir()] == [run.folder.name]
        assert not (run.folder / "config.json").exists()
        holder.kill()
    run.start(resume=resume)
    assert (run.folder / "config.json").exists()


def test_a_run_holds_its_lock(run):
    run.start(resume=True)
    attempt = (
        "import fcntl, sys\nfcntl.lockf(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    process = subprocess.run(
        [sys.executable, "-c", attempt, str(run.folder / ".lock")], capture_output=True
    )
    assert b"BlockingIOError" in process.stderr


def test_moving_aside_never_overwrites_an_earlier_run(run):
    for number in range(3):
        run.start(resume=False)
        (run.folder / f"{number}").touch()
    moved = sorted(path.name for path in run.folder.parent.glob("*.old*/[0-9]"))
    assert moved == ["0", "1"]
    assert (run.folder / "2").exists()


def used(checksums=(1, 2), data_path="/data", cache_dir="/cache"):
    """Data of three classes, the first of which has images of some checksums."""
    classes = {"train": {"ant": checksums}, "val": {"bee": [3]}, "test": {"cat": [4, 5]}}
    record = DataRecord(
        {
            split: {name: image_class(found) for name, found in part.items()}
            for split, part in classes.items()
        }
    )
    return UsedData(record, data_path, cache_dir)


def test_data_is_noted_for_people_and_found_again(run):
    run.start(resume=True, data=used())
    assert run.noted_data() == used()
    values = json.loads(run.data_file.read_text())
    assert values["classes"] == {"train": {"ant": 2}, "val": {"bee": 1}, "test": {"cat": 2}}
    assert (values["data_path"], values["cache_dir"]) == ("/data", "/cache")
    assert values["fingerprint"] == used().record.fingerprint


def test_numbers_alone_are_no_data(run):
    run.start(resume=True)
    assert not run.data_file.exists()
    run.check_data(None)


def test_other_data_is_refused_and_nothing_changed(run):
    run.start(resume=True, data=used())
    before = program.snapshot(run.folder)
    other = used([1, 2, 3], "/other")
    line = "on other data: class ant has 2 images there, 3 here; give that data, which lay in /data"
    with pytest.raises(UsageError, match=f"{line}, another --logdir, or --noresume, which"):
        run.start(resume=True, data=other)
    with pytest.raises(UsageError, match=f"{line}$"):
        run.check_data(other)
    assert program.snapshot(run.folder) == before
    run.start(resume=False, data=other)
    assert run.noted_data() == other


def test_data_that_was_moved_is_the_same_and_noted_where_it_is(run):
    run.start(resume=True, data=used())
    run.start(resume=True, data=used(data_path="/moved"))
    assert run.noted_data().data_path == "/moved"
    downloaded = used(data_path=None, cache_dir="/downloads")
    run.check_data(downloaded)
    assert run.noted_data() == downloaded
    assert downloaded.place == "/downloads"


@pytest.mark.parametrize("train", [True, False])
def test_a_run_from_before_takes_the_data_that_is_given_once(run, capsys, train):
    run.start(resume=True)  # as earlier versions did
    if train:
        run.start(resume=True, data=used())
    else:
        run.check_data(used())
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert f"{run.folder} does not say what data it was trained on" in said[0]
    assert said[0].endswith("it is taken to be that in /data")
    run.check_data(used())
    assert capsys.readouterr().out == ""
    with pytest.raises(UsageError, match="on other data"):
        run.check_data(used([9]))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"ant": 2', '"ant": 3'),
        lambda text: "{}",
        lambda text: '{"classes": 1, "digests": 2}',
        lambda text: "[]",
    ],
)
def test_damaged_data_is_one_line(run, change):
    run.start(resume=True, data=used())
    run.data_file.write_text(change(run.data_file.read_text()))
    with pytest.raises(FileError, match=r"data\.json") as caught:
        run.check_data(used())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"data_path": 5}, {"cache_dir": None}, {"data_path": "a\0"}])
def test_data_that_lies_at_no_path_is_one_line(run, change):
    run.start(resume=True, data=used())
    values = json.loads(run.data_file.read_text()) | change
    del values["sha256"]  # as who writes it by hand
    run.data_file.write_text(json.dumps(values))
    with pytest.raises(FileError, match=r"data\.json is damaged or was changed"):
        run.noted_data()


def test_an_evaluation_that_cannot_be_kept_is_said_before_it(run, monkeypatch):
    run.start(resume=True)
    run.check_evaluation_can_be_kept()
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path))
    with pytest.raises(UsageError, match=r"cannot be written, where the evaluation's files go: "):
        run.check_evaluation_can_be_kept()
    run.evaluation_folder.mkdir(exist_ok=True)
    with pytest.raises(UsageError, match=r"evaluation cannot be written, where the evaluation's "):
        run.check_evaluation_can_be_kept()
    assert asked[-1] == run.evaluation_folder


def test_a_folder_of_a_run_that_cannot_be_written_is_said_before_training(run, monkeypatch):
    run.start(resume=True)
    run.tensorboard_folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != run.tensorboard_folder)
    with pytest.raises(UsageError, match=r"tensorboard cannot be read and written: choose another"):
        Run(run.folder, run.config).start(resume=True)


@pytest.mark.parametrize("result", ["evaluation/test-10shot.csv", "saved_model/saved_model.pb"])
def test_results_without_a_checkpoint_are_not_trained_over(run, result):
    run.start(resume=True)
    (run.folder / result).parent.mkdir(exist_ok=True)
    (run.folder / result).touch()
    with pytest.raises(
        UsageError, match="but no checkpoint to go on from: put those back, or --no"
    ):
        run.start(resume=True)
    run.checkpoint_folder.mkdir()
    for suffix in ("index", "data-00000-of-00001"):  # killed before its pointer was written
        (run.checkpoint_folder / f"model-5.{suffix}").touch()
    run.start(resume=True)
    run.start(resume=False)
    assert not (run.folder / result).exists()


def test_a_folder_that_is_closed_is_not_called_empty(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    run.folder.mkdir(parents=True)
    with pytest.raises(FileError, match=r"config\.json"):
        Run.opened(run.folder)


def test_a_run_is_opened_from_its_folder_alone(run, tmp_path):
    with pytest.raises(UsageError, match=f"no run in {tmp_path}: train it first, or name its"):
        Run.opened(tmp_path)
    run.start(resume=True)
    assert Run.opened(run.folder).config == run.config


def test_no_export_goes_where_the_run_will_be(run, tmp_path):
    own = run.folder.resolve()
    for folder in (own, own.parent, own / "checkpoints", own / "tensorboard"):
        with pytest.raises(UsageError, match=r"^--export_dir=x is a folder of the run"):
            run.check_other_folder(folder, "--export_dir=x")
    for folder in (own / "saved_model", own.parent / "other"):
        run.check_other_folder(folder, "--export_dir=x")
