"""The values that the programs' numbers may have, checked before anything starts.

A bound above is there to tell a slip of the pen from a wish: what it lets through may still be more
than the memory holds (`memory_needs.py`).
"""

import math

from utils.errors import UsageError

# Every number that takes part in the computation is a float32, and its smallest ones count as 0.
SMALLEST, LARGEST = 1.2e-38, 3.4e38
# Iterations, tasks and seeds are int32.
LARGEST_INTEGER = 2**31 - 1

RANGES: dict[str, tuple[float, float]] = {
    "num_classes": (2, 10_000),
    "pretrain_iterations": (0, LARGEST_INTEGER),
    "metatrain_iterations": (0, LARGEST_INTEGER),
    "cooldown": (0, LARGEST_INTEGER),
    "meta_batch_size": (1, 100_000),
    "meta_lr": (SMALLEST, LARGEST),
    "meta_grad_clip": (0, LARGEST),
    "update_batch_size": (1, 100_000),
    "query_batch_size": (1, 100_000),
    "update_lr": (SMALLEST, LARGEST),
    # The compiled program has every inner step and every power in it.
    "num_updates": (1, 1_000),
    "test_num_updates": (1, 1_000),
    "poly_order": (0, 100),
    "image_size": (16, 4_096),
    "split_seed": (0, LARGEST_INTEGER),
    "temp": (SMALLEST, LARGEST),
    "logit_init": (-LARGEST, LARGEST),
    "dim_hidden": (1, 100_000),
    "num_filters": (1, 100_000),
    "seed": (0, LARGEST_INTEGER),
    "num_test_tasks": (1, 1_000_000),
    "peer_timeout": (1.0, 86_400.0),
}


def check_range(name: str, value: float, bounds: tuple[float, float] | None = None) -> None:
    """Check the value of a flag.

    Args:
        name: of the flag.
        value: given.
        bounds: the least and the largest; if they are not given, the flag's of `RANGES`.

    Raises:
        UsageError: it is not finite, or not within the bounds.
    """
    least, most = RANGES[name] if bounds is None else bounds
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"--{name} must be finite, got {value}")
    if value <= 0 and least == SMALLEST:
        raise UsageError(f"--{name} must be positive, got {shown(value)}")
    if least == 0 and 0 < value < SMALLEST:
        raise UsageError(f"--{name} must be 0 or at least {SMALLEST}, got {shown(value)}")
    if value < least:
        raise UsageError(f"--{name} must be at least {least}, got {shown(value)}")
    if value > most:
        raise UsageError(f"--{name} must be at most {most}, got {shown(value)}")


def shown(value: float) -> str:
    """A number as a message shows it: of one with very many digits, the first."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
