"""The command line that the experiments share.

What is finished is written at once. Stopped at any moment, the same command goes on where it was.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from absl import flags

from experiments.runs import Folders
from system.files import read_text
from utils.command.exit_code import exit_code
from utils.command.flags import parse
from utils.command.paths import check_writable, define_path
from utils.errors import UsageError

FLAGS = flags.FLAGS


def define(
    name: str, parts: Iterable[str], flag_values: flags.FlagValues = flags.FLAGS
) -> flags.FlagValues:
    """Define the flags that every experiment has on `flag_values`, and return it.

    Args:
        name: of the experiment and its folders.
        parts: that --only chooses from.
        flag_values: where they are defined.
    """
    parts = list(parts)
    to = {"flag_values": flag_values}
    define_path("output", f"results/{name}", "folder of the results", **to)
    define_path("workdir", f"logs/{name}", "folder of the runs and their checkpoints", **to)
    flags.DEFINE_list("only", parts, f"some of {','.join(parts)}", **to)
    return flag_values


def define_images(
    flag_values: flags.FlagValues = flags.FLAGS, pretrained: str | None = "pretrained"
) -> flags.FlagValues:
    """Define the flags of an experiment on images on `flag_values`, and return it.

    Args:
        flag_values: where they are defined.
        pretrained: default of the folder of the SavedModels; None to make none.
    """
    to = {"flag_values": flag_values}
    define_path("data_path", None, "folder or archive of the images", **to)
    define_path("cache_dir", "logs/cache", "for the resized images", **to)
    define_path("pretrained", pretrained, "folder of the SavedModels", **to)
    return flag_values


def image_folders(prefix: str) -> Folders:
    """The folders that the flags of an experiment on images name.

    Args:
        prefix: of its SavedModels' names.
    """
    return Folders(
        records=Path(FLAGS.output),
        workdir=Path(FLAGS.workdir),
        data_path=FLAGS.data_path,
        cache_dir=FLAGS.cache_dir,
        pretrained=None if FLAGS.pretrained is None else Path(FLAGS.pretrained),
        prefix=prefix,
    )


def check_page(page: Path, name: str) -> None:
    """Refuse a folder whose README.md is not this experiment's, which it would replace.

    Args:
        page: the file, which need not be there.
        name: of the experiment.

    Raises:
        UsageError: it is another.
        FileError: it cannot be read.
    """
    if page.exists() and f"Written by `python -m experiments.{name}" not in read_text(page):
        raise UsageError(
            f"{page} is no page of experiments.{name}, which would replace it: name another "
            "--output"
        )


def main(argv: Sequence[str], parts: Iterable[str], do: Callable[[Sequence[str]], None]) -> int:
    """Parse the flags, do the parts that --only names, in their order; return the exit code.

    Args:
        argv: the program's name and its flags.
        parts: that there are.
        do: does some of them.
    """
    parts = list(parts)

    def do_chosen() -> None:
        parse(argv)
        if not FLAGS.only:
            raise UsageError(f"--only must be some of {','.join(parts)}, got none")
        for part in FLAGS.only:
            if part not in parts:
                raise UsageError(f"--only must be some of {','.join(parts)}, got {part!r}")
        # Where nothing can be written, that is said before hours of training.
        for name in ("output", "workdir"):
            folder = FLAGS[name].value
            try:
                Path(folder).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"--{name}={folder} cannot be written: {error.strerror}"
                ) from error
            check_writable(Path(os.path.realpath(folder), "results"), f"--{name}={folder}")
        check_page(Path(FLAGS.output) / "README.md", Path(FLAGS["output"].default).name)
        if "pretrained" in FLAGS and FLAGS.pretrained is not None:
            model = Path(os.path.realpath(FLAGS.pretrained), "model")
            check_writable(model, f"--pretrained={FLAGS.pretrained}")
        do([part for part in parts if part in FLAGS.only])

    return exit_code(do_chosen)
