"""What each data source is run with when nothing else is said: the paper's experiments.

A recipe is the values of the flags that depend on the data source. Its docstring names the command
that runs it as the paper's MT-net and the figure to reach.
"""

from typing import Any

from utils.command.configuration import DATA_SOURCES
from utils.errors import UsageError

RECIPES = ("paper", "best")
DEFAULT_NUM_CLASSES = 5
SAME_AS_SHOT = None


def recipe(
    datasource: str, num_classes: int = DEFAULT_NUM_CLASSES, name: str = "paper"
) -> dict[str, Any]:
    """Return the values of the recipe-given flags, by name.

    `query_batch_size` may be `SAME_AS_SHOT`: as many queries per class as `update_batch_size`.

    Args:
        datasource: one of `DATA_SOURCES`.
        num_classes: the way N; Omniglot has a recipe for 20-way, taken from there on.
        name: one of `RECIPES`.

    Raises:
        UsageError: unknown data source or recipe, or there is nothing better than the paper's.
    """
    if name not in RECIPES:
        raise UsageError(f"--recipe must be {' or '.join(RECIPES)}, got {name!r}")
    if name == "best":
        if datasource != "omniglot":
            raise UsageError(
                f"--recipe=best is for --datasource=omniglot; --datasource={datasource} has none"
            )
        return omniglot_best(num_classes)
    if datasource == "sinusoid":
        return sinusoid()
    if datasource == "polynomial":
        return polynomial()
    if datasource == "omniglot":
        return omniglot_20_way() if num_classes >= 20 else omniglot_5_way()
    if datasource == "miniimagenet":
        return miniimagenet()
    if datasource == "images":
        return images()
    raise UsageError(f"--datasource must be one of {', '.join(DATA_SOURCES)}, got {datasource!r}")


def sinusoid() -> dict[str, Any]:
    """Section 6.1: regression of y = A sin(wx + b).

    Command: python main.py --use_T --use_M
    Target: Table 1, mean squared error after one step 0.76 +- 0.09, 0.49 +- 0.05 and 0.33 +- 0.04
        with 5, 10 and 20 examples.
    """
    return {
        "metatrain_iterations": 60000,
        "meta_batch_size": 4,
        "cooldown": 0,
        "meta_grad_clip": 0.0,
        "update_batch_size": 10,
        "query_batch_size": 10,
        "update_lr": 0.01,
        "num_updates": 1,
        "norm": None,
        "dim_hidden": 40,
        "num_filters": 64,
        "max_pool": False,
    }


def polynomial() -> dict[str, Any]:
    """Section 6.3: regression of polynomials of order 0 to 3, with all else as for sinusoids.

    Command: python main.py --datasource=polynomial --poly_order=2 --use_T --use_M
    Target: Figure 4, the share of weights that are updated grows with the order.
    """
    return sinusoid()


def omniglot_5_way() -> dict[str, Any]:
    """Section 6.4: 1-shot recognition of one of 5 characters.

    Command: python main.py --datasource=omniglot --use_T --use_M
    Target: Table 3, accuracy 99.5 +- 0.3 %.
    """
    return {
        "metatrain_iterations": 60000,
        "meta_batch_size": 32,
        "cooldown": 0,
        "meta_grad_clip": 0.0,
        "update_batch_size": 1,
        "query_batch_size": SAME_AS_SHOT,
        "update_lr": 0.4,
        "num_updates": 1,
        "norm": "batch_norm",
        "dim_hidden": 40,
        "num_filters": 64,
        "max_pool": False,
    }


def omniglot_20_way() -> dict[str, Any]:
    """Section 6.4: 1-shot recognition of one of 20 characters.

    One inner step as in the MT-net authors' script; MAML's had 5.

    Command: python main.py --datasource=omniglot --num_classes=20 --use_T --use_M
    Target: Table 3, accuracy 96.21 +- 0.35 %.
    """
    return omniglot_5_way() | {"meta_batch_size": 16, "update_lr": 0.1}


def omniglot_best(num_classes: int) -> dict[str, Any]:
    """The paper's recipe and 6,000 iterations more, over which the meta step size falls to 0.

    A run of the paper's recipe that is finished goes on with these.

    Command: python main.py --datasource=omniglot --use_T --use_M --recipe=best
    """
    return recipe("omniglot", num_classes) | {"metatrain_iterations": 66000, "cooldown": 6000}


def miniimagenet() -> dict[str, Any]:
    """Section 6.4: 1-shot recognition of one of 5 kinds of objects.

    15 queries a class in training; an evaluation has as many as the shot, as in the original code.

    Command: python main.py --datasource=miniimagenet --data_path=DIR --use_T --use_M
    Target: Table 3, accuracy 51.69 +- 0.70 %.
    """
    return {
        "metatrain_iterations": 60000,
        "meta_batch_size": 4,
        "cooldown": 0,
        "meta_grad_clip": 10.0,
        "update_batch_size": 1,
        "query_batch_size": 15,
        "update_lr": 0.01,
        "num_updates": 5,
        "norm": "batch_norm",
        "dim_hidden": 40,
        "num_filters": 32,
        "max_pool": True,
    }


def images() -> dict[str, Any]:
    """A user's own images: miniImagenet's recipe, with fewer queries for smaller classes.

    Command: python main.py --datasource=images --data_path=DIR --use_T --use_M
    """
    return miniimagenet() | {"query_batch_size": 5}
