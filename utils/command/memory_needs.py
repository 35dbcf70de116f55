"""Whether what is asked for can fit into memory: a bound from below, known before it starts.

It counts only what must be in memory at the same time, so nothing that would run is refused.
"""

from collections.abc import Container
from typing import NamedTuple

from system.memory import memory_bytes
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.errors import UsageError

FLOAT32 = 4  # bytes
SIDES = {"omniglot": 28, "miniimagenet": 84}
COLOURS = {"omniglot": 1, "miniimagenet": 3}
# The weights themselves, their gradient and Adam's two moments.
COPIES_OF_WEIGHTS = 4
BLOCKS = 4  # of the convolutional network
TAPS = 9  # of a 3x3 kernel


class Part(NamedTuple):
    """What takes some of the memory.

    Attributes:
        numbers: float32 values.
        flags: with which they grow.
    """

    numbers: int
    flags: tuple[str, ...]


def check_memory(
    config: Config,
    settings: EvaluationSettings | None = None,
    *,
    what: str = "this",
    flag_names: Container[str] | None = None,
    available: int | None = None,
) -> None:
    """Refuse what cannot fit.

    Args:
        config: of the run, which is trained unless there are settings.
        settings: of its evaluation.
        what: the line calls what needs the memory.
        flag_names: flags that the program has, which are named as such; None if it is `main.py`.
        available: bytes; by default this machine's.

    Raises:
        UsageError: it needs more; the line names the settings of what is largest.
    """
    available = memory_bytes() if available is None else available
    parts = needs(config, settings)
    needed = FLOAT32 * sum(part.numbers for part in parts)
    if available is None or needed <= available:
        return
    values = config.to_dict()
    if settings is not None:
        values |= {"update_batch_size": settings.shot, "query_batch_size": settings.query}
    largest = max(parts)
    named = ", ".join(
        ("--" if flag_names is None or name in flag_names else "") + f"{name}={values[name]}"
        for name in largest.flags
    )
    raise UsageError(
        f"{what} needs at least {_gigabytes(needed)} of memory, and there are "
        f"{_gigabytes(available)}: most of it is for {named}"
    )


def check_images(
    flag: str, count: int, side: int, channels: int, *, available: int | None = None
) -> None:
    """Refuse more images than the memory holds as the network takes them.

    Args:
        flag: that names them, with its value.
        count: number of images.
        side: their height and width, pixels.
        channels: of a pixel.
        available: bytes; by default this machine's.

    Raises:
        UsageError: they need more.
    """
    available = memory_bytes() if available is None else available
    needed = FLOAT32 * count * side**2 * channels
    if available is not None and needed > available:
        raise UsageError(
            f"{flag}: {count:,} images need at least {_gigabytes(needed)} of memory, and there are "
            f"{_gigabytes(available)}; give fewer at a time"
        )


def needs(config: Config, settings: EvaluationSettings | None = None) -> list[Part]:
    """What is in memory at once, of a meta-iteration or, with settings, of one task's evaluation.

    Args:
        config: of the run.
        settings: of its evaluation.
    """
    tasks, shot, query = config.meta_batch_size, config.update_batch_size, config.query_batch_size
    # The gradient through the inner steps needs what every one of them computed.
    steps = 1 if config.stop_grad else config.num_updates
    batch: tuple[str, ...] = ("meta_batch_size",)
    through: tuple[str, ...] = ("num_updates",)
    if settings is not None:
        tasks, shot, query, steps = 1, settings.shot, settings.query, 1
        batch = through = ()
    units = config.num_filters if config.is_classification else config.dim_hidden
    if config.is_classification:
        side = SIDES.get(config.datasource, config.image_size)
        channels = COLOURS.get(config.datasource, 1 if config.grey else 3)
        way, inputs = config.num_classes, side**2 * channels
        outputs = units * (side if config.max_pool else -(-side // 2)) ** 2  # of the first block
        weights = TAPS * units * (channels + (BLOCKS - 1) * units)
        transforms = BLOCKS * units**2
        parallel = 1  # meta-batches are computed in parts, of one task at least
        of_parallel: tuple[str, ...] = ()
        of_units: tuple[str, ...] = ("num_filters",)
        of_examples: tuple[str, ...] = ("num_classes",)
        if config.datasource == "images":
            of_examples += ("image_size",)
    else:
        way, inputs, outputs = 1, 1, 2 * units
        weights, transforms = units**2 + 2 * units, 2 * units**2
        parallel, of_parallel = tasks, batch
        of_units, of_examples = ("dim_hidden",), ()
    parameters = weights + (transforms if config.use_T else 0)
    return [
        Part(COPIES_OF_WEIGHTS * parameters, of_units),
        Part(
            tasks * way * (shot + query) * inputs,
            (*batch, "update_batch_size", "query_batch_size", *of_examples),
        ),
        Part(
            steps * parallel * way * shot * outputs,
            (*of_parallel, "update_batch_size", *of_examples, *of_units, *through),
        ),
        Part(steps * parallel * weights, (*of_parallel, *of_units, *through)),
    ]


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
