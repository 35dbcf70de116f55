import json
import subprocess
import sys

import pytest
import tensorflow as tf
from absl import flags

from system.errors import FileError
from utils.command.configuration import Config
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError
from utils.runs.folder import Run


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


LOG = "epoch,iteration,loss\r\n0,5.0,1.5\r\n1,10.0,1.25\r\n2,15.0,1.125\r\n"


@pytest.mark.parametrize(
    ("text", "iteration", "kept"),
    [
        (LOG, 10, LOG[: LOG.index("2,15")]),
        (LOG, 15, LOG),
        (LOG, 14, LOG[: LOG.index("2,15")]),
        (LOG, 0, LOG[: LOG.index("0,5")]),
        (LOG[:-8], 15, LOG[: LOG.index("2,15")]),  # half a row
        ("epoch,iter", 5, None),  # half a header
        ("", 5, None),
    ],
)
def test_log_is_trimmed_to_the_checkpoint(run, text, iteration, kept):
    run.folder.mkdir()
    run.log_file.write_bytes(text.encode())
    run.trim_log(iteration)
    assert (run.log_file.read_bytes().decode() if run.log_file.exists() else None) == kept


@pytest.mark.parametrize("damaged", [LOG.replace("10.0", "many"), LOG.replace("iteration", "it")])
def test_a_damaged_log_is_one_line_and_left_as_it_is(run, damaged):
    run.folder.mkdir()
    run.log_file.write_text(damaged)
    with pytest.raises(FileError, match=r"log\.csv is damaged"):
        run.trim_log(10)
    assert run.log_file.read_text() == damaged.replace("\r\n", "\n")


def test_a_log_that_is_not_there_is_not_trimmed(run):
    run.trim_log(5)
    assert not run.log_file.exists()
