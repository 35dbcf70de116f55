"""Running the program in tests, in this process or in one of its own, and reading its runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

import main
import utils.command.evaluation_flags
import utils.reports.evaluation
import utils.runs.training
from maml_tnet import ConvNet, Regressor

ROOT = Path(main.__file__).parent


@contextmanager
def quick(per_epoch: int, evaluated_steps: int = 2, blocks: int = 2) -> Iterator[None]:
    """Let an epoch be a few iterations, validate on a few tasks, and compile and log little.

    The steps of an evaluation are unrolled: to trace the program's ten takes most of a short run.
    TensorBoard gets the histograms of the first epoch alone, which take longer than the epoch does.
    The regressor is compiled without XLA, and the networks of images have two blocks of their four.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils.command.evaluation_flags, "EVALUATED_STEPS", evaluated_steps)
        patch.setattr(utils.reports.evaluation, "PLOTTED_STEPS", (0, 1, evaluated_steps))
        patch.setattr(utils.runs.training, "iterations_per_epoch", lambda config: per_epoch)
        patch.setattr(utils.runs.training, "VALIDATION_TASKS", 40)
        patch.setattr(utils.runs.training, "HISTOGRAM_EPOCHS", 1000)
        patch.setattr(Regressor, "compile_with_xla", False)
        patch.setattr(ConvNet, "blocks", blocks)
        yield


def run(
    *arguments: str,
    per_epoch: int = 5,
    evaluated_steps: int = 2,
    blocks: int = 2,
    only_train: bool = False,
) -> int:
    """Run the program's `main` in this process; return its exit code.

    Args:
        arguments: the flags.
        per_epoch: iterations between checkpoints.
        evaluated_steps: inner steps that an evaluation takes; the program takes 10.
        blocks: of the networks of images; the program's have 4.
        only_train: leave out the evaluation and the export after training.
    """
    if "datasource" not in flags.FLAGS:
        main.define(flags.FLAGS)
    flags.FLAGS.unparse_flags()
    with quick(per_epoch, evaluated_steps, blocks), pytest.MonkeyPatch.context() as patch:
        if only_train:
            patch.setattr(main, "evaluate_run", lambda *_, **__: None)
            patch.setattr(main, "export", lambda *_: None)
        return main.main(["main.py", *arguments])


def newest(folder: Path) -> str:
    """The prefix of the newest checkpoint of a `checkpoints` or `best` folder."""
    checkpoint = tf.train.latest_checkpoint(str(folder))
    if checkpoint is None:
        pytest.fail(f"no checkpoint in {folder}")
    return checkpoint


def iterations_saved(run_folder: Path) -> int:
    """The iteration of the checkpoint that the run's pointer names; 0 for none."""
    pointer = run_folder / "checkpoints" / "checkpoint"
    if not pointer.exists():
        return 0
    return int(pointer.read_text().splitlines()[0].rstrip('"').rsplit("-", 1)[1])


def tensors(checkpoint: str) -> dict[str, np.ndarray]:
    """All that a checkpoint holds, by name."""
    reader = tf.train.load_checkpoint(checkpoint)
    names = reader.get_variable_to_shape_map()
    return {
        name: reader.get_tensor(name) for name in names if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


def assert_same_checkpoint(actual: str, expected: str, *, saves: bool = True) -> None:
    """Check that two checkpoints hold the same bits.

    Args:
        actual: its prefix.
        expected: the other's.
        saves: whether as many checkpoints must have been saved before.
    """
    here, there = tensors(actual), tensors(expected)
    assert here.keys() == there.keys()
    for name in here:
        if saves or not name.startswith("save_counter"):
            np.testing.assert_array_equal(here[name], there[name], err_msg=name, strict=True)


def rewind(run_folder: Path, iteration: int) -> None:
    """Leave a run as if it had been killed right after the checkpoint of an iteration."""
    folder = run_folder / "checkpoints"
    kept = set()
    for index in folder.glob("model-*.index"):
        number = int(index.stem.rsplit("-", 1)[1])
        if number > iteration:
            for file in folder.glob(f"model-{number}.*"):
                file.unlink()
        else:
            kept.add(number)
    lines = [f'model_checkpoint_path: "model-{iteration}"']
    lines += [f'all_model_checkpoint_paths: "model-{number}"' for number in sorted(kept)]
    lines += [f"all_model_checkpoint_timestamps: {number}.0" for number in sorted(kept)]
    (folder / "checkpoint").write_text("\n".join(lines) + "\n")


def snapshot(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder, by path."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
