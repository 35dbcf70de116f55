"""The command line that the classification experiments share: hours of runs, one after the other.

Stopped at any moment, the same command goes on where it was. What is finished is written at once.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from absl import flags
from tensorflow import keras

from data_generators import DataError
from experiments.classification_runs import Folders
from utils.command.flags import parse
from utils.errors import TrainingInterrupted, UsageError

FLAGS = flags.FLAGS
Job = Callable[[Folders], None]
"""Leaves its results in the folders, or does nothing where they are there already."""


def define(name: str, jobs: Mapping[str, Job]) -> None:
    """Define the flags of an experiment of that name."""
    flags.DEFINE_string("data_path", None, "folder or archive of the images")
    flags.DEFINE_string("cache_dir", "logs/cache", "for the resized images")
    flags.DEFINE_string("output", f"results/{name}", "folder of the results")
    flags.DEFINE_string("pretrained", "pretrained", "folder of the SavedModels")
    flags.DEFINE_string("workdir", f"logs/{name}", "folder of the runs and their checkpoints")
    flags.DEFINE_list("only", list(jobs), f"some of {','.join(jobs)}")


def main(argv: Sequence[str], jobs: Mapping[str, Job], write_readme: Callable[[Path], None]) -> int:
    """Do the jobs, write the README after each; return the exit code."""
    tf.get_logger().setLevel("ERROR")
    try:
        parse(argv)
        for name in FLAGS.only:
            if name not in jobs:
                raise UsageError(f"--only must be some of {','.join(jobs)}, got {name!r}")
        folders = Folders(
            FLAGS.data_path,
            FLAGS.cache_dir,
            Path(FLAGS.workdir),
            Path(FLAGS.output),
            Path(FLAGS.pretrained),
        )
        for name in FLAGS.only:
            jobs[name](folders)
            keras.backend.clear_session()
            write_readme(folders.output)
            print("wrote", folders.output / "README.md")
    except TrainingInterrupted as stop:
        print(f"{stop}: the same command goes on from there", file=sys.stderr)
        return 128 + stop.signal_number
    except (UsageError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: --output={FLAGS.output}: {error}", file=sys.stderr)
        return 2
    return 0
