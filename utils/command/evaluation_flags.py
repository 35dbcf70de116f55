"""What the flags say of an evaluation: of which run and checkpoint, on which tasks, and how."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from absl import flags

from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings, usual_queries
from utils.command.flags import LATEST, config_from_flags, trained_with, with_none
from utils.command.ranges import check_range
from utils.command.recipes import recipe
from utils.errors import UsageError

EVALUATED_STEPS = 10
NUM_TEST_TASKS = {"miniimagenet": 4000}
DEFAULT_NUM_TEST_TASKS = 600
# What an evaluation may have otherwise than training had it.
EVALUATED = ("update_batch_size", "query_batch_size", "update_lr")


def run_to_evaluate(flag_values: flags.FlagValues = flags.FLAGS) -> Path:
    """Return the folder of the run to evaluate: --run, or that which the other flags name.

    Raises:
        UsageError: both are given, or `config_from_flags` refuses the flags.
    """
    if flag_values.run is None:
        return Path(flag_values.logdir, config_from_flags(flag_values).run_name)
    if flag_values["logdir"].present:
        raise UsageError(
            f"--run={flag_values.run} and --logdir={flag_values.logdir} exclude each other"
        )
    return Path(flag_values.run)


def contradictions(flag_values: flags.FlagValues, trained: Config) -> list[str]:
    """Say which flags that are given belong to another run than the one to evaluate.

    Args:
        flag_values: of an evaluation.
        trained: the run's configuration.

    Returns:
        lines as of `Config.differences`.
    """
    stated = [name for name in Config.__dataclass_fields__ if flag_values[name].present]
    given: dict[str, Any] = {name: flag_values[name].value for name in stated}
    if given.get("datasource", trained.datasource) != trained.datasource:
        # Of another kind of tasks the other flags would say no more.
        return [f"datasource is {trained.datasource} there, {given['datasource']} here"]
    if flag_values["recipe"].present:
        way = given.get("num_classes", trained.num_classes)
        given = recipe(trained.datasource, way, flag_values.recipe) | given
    given = {name: value for name, value in given.items() if name not in EVALUATED}
    given |= trained_with(flag_values)
    return replace(trained, **with_none(given)).differences(trained)


def evaluation_settings(flag_values: flags.FlagValues, config: Config) -> EvaluationSettings:
    """Return how to evaluate a run: as it was trained, where no flag says otherwise.

    Args:
        flag_values: of the evaluation, or of the training that it follows.
        config: of the run.

    Raises:
        UsageError: a value out of range, or another step size for Meta-SGD, which learned its own.
    """
    values = {name: getattr(config, name) for name in EVALUATED}
    # A command that says what training had means an evaluation with the recipe's value.
    of_recipe = recipe(config.datasource, config.num_classes)
    values |= {name: of_recipe[name] for name in trained_with(flag_values)}
    given = {name: flag_values[name].value for name in EVALUATED if flag_values[name].present}
    values |= given
    if config.meta_sgd and values["update_lr"] != config.update_lr:
        raise UsageError(
            "--update_lr cannot change in evaluation with --meta_sgd, which learned its step "
            f"sizes from {config.update_lr}: got {values['update_lr']}"
        )
    if "query_batch_size" not in given:
        values["query_batch_size"] = usual_queries(config, values["update_batch_size"])
    num_tasks = flag_values.num_test_tasks
    if num_tasks is None:
        num_tasks = NUM_TEST_TASKS.get(config.datasource, DEFAULT_NUM_TEST_TASKS)
    steps = flag_values.test_num_updates
    if steps is not None:
        check_range("test_num_updates", steps)
    return EvaluationSettings(
        shot=values["update_batch_size"],
        query=values["query_batch_size"],
        update_lr=values["update_lr"],
        num_steps=max(EVALUATED_STEPS, config.num_updates, steps or 0),
        mask=flag_values.mask,
        split="test" if flag_values.test_set else "val",
        num_tasks=num_tasks,
    )


def chosen_checkpoint(flag_values: flags.FlagValues = flags.FLAGS) -> int | str:
    """Return which checkpoint to evaluate: that of an iteration, "best" or "last".

    Raises:
        UsageError: two are named.
    """
    if flag_values.test_best and flag_values.test_iter != LATEST:
        raise UsageError(f"--test_best and --test_iter={flag_values.test_iter} exclude each other")
    if flag_values.test_best:
        return "best"
    return "last" if flag_values.test_iter == LATEST else flag_values.test_iter
