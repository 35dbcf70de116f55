"""What the environment holds at the moment a program imports TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VARIABLES = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS")
PROGRAMS = [
    "main",
    "benchmarks.program",
    *(
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in sorted((ROOT / "experiments").rglob("*.py"))
        if '__name__ == "__main__"' in file.read_text(encoding="utf-8")
    ),
]
# Prints the variables and ends where TensorFlow would be imported, so that nothing waits for it.
LOOK = f"""
import os, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "tensorflow":
            print(*(os.environ.get(variable) for variable in {VARIABLES}))
            sys.exit()
sys.meta_path.insert(0, Finder())
import {{}}
"""


def at_import_of_tensorflow(program: str, **environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", LOOK.format(program)],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_are_quiet_and_compute_with_onednn_one_thread_an_operation(program):
    assert at_import_of_tensorflow(program) == ["3", "1", "1"]


def test_what_the_user_has_set_stays():
    chosen = dict(zip(VARIABLES, ["0", "0", "4"], strict=True))
    assert at_import_of_tensorflow("main", **chosen) == ["0", "0", "4"]


def test_ctrl_c_while_tensorflow_is_imported_is_one_line():
    interrupted = LOOK.replace("sys.exit()", "raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-c", interrupted.format("main")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "interrupted\n"
    assert done.returncode != 0


def test_no_file_gets_the_number_of_a_stream_that_is_closed(tmp_path):
    look = """
import os, sys, utils.tensorflow_environment
file = open(sys.argv[1], "w")
assert file.fileno() > 2
assert not sys.stdout.isatty()
assert not sys.stderr.isatty()
"""
    command = f'exec "{sys.executable}" -c \'{look}\' "{tmp_path}/file" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], cwd=ROOT).returncode == 0


def test_keras_is_that_of_tensorflow():
    look = """
import os, utils.tensorflow_environment
assert os.environ["KERAS_BACKEND"] == "tensorflow"
assert "TF_USE_LEGACY_KERAS" not in os.environ
"""
    others = {"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1"}
    command = [sys.executable, "-c", look]
    assert subprocess.run(command, cwd=ROOT, env=os.environ | others).returncode == 0


def test_the_backend_of_a_notebook_shows_its_figures():
    look = "import os, utils.tensorflow_environment; print(os.environ['MPLBACKEND'])"
    of_jupyter = "module://matplotlib_inline.backend_inline"
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=ROOT,
        env=os.environ | {"MPLBACKEND": of_jupyter},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == of_jupyter


def test_settings_of_keras_and_matplotlib_that_a_user_has_are_not_read(tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    look = """
import os, utils.tensorflow_environment
import matplotlib.figure
assert not os.path.isdir(os.environ["KERAS_HOME"])
try:
    os.makedirs(os.path.join(os.environ["KERAS_HOME"], "below"))
except OSError:
    print("no folder can be there")
"""
    users = {"KERAS_HOME": tmp_path, "MATPLOTLIBRC": tmp_path, "MPLBACKEND": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=ROOT,
        env=os.environ | {name: str(value) for name, value in users.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "no folder can be there\n"
