from pathlib import Path

import pytest
from command_lines import config, parsed

from utils.command.evaluation_flags import (
    chosen_checkpoint,
    contradictions,
    evaluation_settings,
    run_to_evaluate,
)
from utils.command.flags import config_from_flags
from utils.errors import UsageError


def settings(*arguments):
    flag_values = parsed(*arguments)
    return evaluation_settings(flag_values, config_from_flags(flag_values))


def evaluated(trained, *arguments):
    """How a run of some flags is evaluated by others."""
    return evaluation_settings(parsed("--notrain --run=folder", *arguments), config(*trained))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--num_test_tasks=0"], "--num_test_tasks must be at least 1, got 0"),
        (
            ["--notrain", "--train_update_batch_size=5", "--update_batch_size=0"],
            "--update_batch_size must be at least 1, got 0",
        ),
        (
            ["--notrain", "--train_update_lr=0.1", "--update_lr=0"],
            "--update_lr must be positive, got 0.0",
        ),
        (
            ["--notrain", "--meta_sgd", "--train_update_lr=0.01", "--update_lr=1"],
            "--update_lr cannot change in evaluation with --meta_sgd, which learned its step sizes "
            "from 0.01: got 1.0",
        ),
    ],
)
def test_bad_evaluation_flag_is_one_line(arguments, line):
    with pytest.raises(UsageError) as caught:
        settings(*arguments)
    assert str(caught.value) == line


def test_evaluation_is_like_training_unless_told_otherwise():
    result = settings("--notrain", "--datasource=omniglot", "--update_batch_size=5")
    assert (result.shot, result.query, result.update_lr) == (5, 5, 0.4)
    assert (result.num_steps, result.mask, result.split) == (10, "sample", "val")


@pytest.mark.parametrize(
    ("flags", "training", "evaluation"), [("", 15, 5), ("--query_batch_size=7", 7, 7)]
)
def test_miniimagenet_is_evaluated_with_as_many_queries_as_the_shot(flags, training, evaluation):
    arguments = ["--datasource=miniimagenet", "--update_batch_size=5", *flags.split()]
    assert config(*arguments).query_batch_size == training
    assert settings(*arguments).query == evaluation


def test_a_run_is_looked_up_by_what_it_was_trained_with():
    arguments = (
        "--notrain --update_batch_size=20 --train_update_batch_size=5",
        "--update_lr=0.1 --train_update_lr=0.02",
    )
    run, result = config(*arguments), settings(*arguments)
    assert (run.update_batch_size, run.update_lr) == (5, 0.02)
    assert (result.shot, result.update_lr) == (20, 0.1)
    assert run.run_name == "sinusoid-5shot-maml-seed0"


def test_queries_follow_the_shot_of_training_and_of_evaluation():
    arguments = (
        "--notrain --datasource=omniglot",
        "--update_batch_size=5 --train_update_batch_size=1",
    )
    assert config(*arguments).query_batch_size == 1
    assert settings(*arguments).query == 5


def test_headline_step_is_always_evaluated():
    assert settings("--num_updates=15").num_steps == 15


@pytest.mark.parametrize(
    ("given", "trained", "steps"), [(3, 1, 10), (20, 1, 20), (12, 15, 15), (20, 15, 20)]
)
def test_more_steps_than_ten_are_evaluated_on_request(given, trained, steps):
    arguments = [f"--test_num_updates={given}", f"--num_updates={trained}"]
    assert settings(*arguments).num_steps == steps


@pytest.mark.parametrize("steps", [0, -1, 1001, 2**40])
def test_numbers_of_steps_have_bounds(steps):
    with pytest.raises(UsageError, match=f"--test_num_updates must be at .*, got {steps}"):
        settings(f"--test_num_updates={steps}")


def test_a_run_that_is_named_is_evaluated_as_it_was_trained():
    trained = ["--datasource=omniglot --update_batch_size=5 --query_batch_size=3 --update_lr=0.2"]
    result = evaluated(trained)
    assert (result.shot, result.query, result.update_lr) == (5, 3, 0.2)
    assert (result.num_steps, result.mask, result.split, result.num_tasks) == (
        10, "sample", "val", 600,
    )  # fmt: skip
    assert evaluated(["--datasource=omniglot --update_batch_size=5"]).query == 5
    assert evaluated(["--datasource=miniimagenet"]).num_tasks == 4000
    assert evaluated(["--datasource=images --query_batch_size=9"]).query == 9


def test_what_changes_no_weight_may_differ_from_training():
    result = evaluated(
        ["--datasource=miniimagenet --update_batch_size=5"],
        "--update_batch_size=2 --query_batch_size=7 --update_lr=0.5 --test_num_updates=15",
        "--num_test_tasks=8 --mask=mode --test_set",
    )
    assert (result.shot, result.query, result.update_lr, result.num_steps) == (2, 7, 0.5, 15)
    assert (result.num_tasks, result.mask, result.split) == (8, "mode", "test")
    # Queries follow the shot, unless they are given.
    assert evaluated(["--datasource=miniimagenet"], "--update_batch_size=3").query == 3


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ("", []),
        ("--datasource=omniglot --use_T --num_filters=8 --seed=0 --norm=batch_norm", []),
        ("--update_batch_size=9 --query_batch_size=9 --update_lr=9", []),
        ("--metatrain_iterations=7 --dim_hidden=9 --temp=3", []),  # no matter for this run
        ("--recipe=paper --num_filters=8", []),
        ("--num_filters=64", ["num_filters is 8 there, 64 here"]),
        ("--nouse_T --seed=2", ["use_T is True there, False here", "seed is 0 there, 2 here"]),
        ("--datasource=sinusoid --use_M", ["datasource is omniglot there, sinusoid here"]),
        ("--norm=None", ["norm is batch_norm there, None here"]),
        ("--num_updates=3", ["num_updates is 1 there, 3 here"]),
        ("--train_update_batch_size=5", ["update_batch_size is 1 there, 5 here"]),
        ("--train_update_lr=0.25", ["update_lr is 0.4 there, 0.25 here"]),
        ("--recipe=paper", ["num_filters is 8 there, 64 here"]),
    ],
)
def test_flags_that_are_given_must_be_those_of_the_run(arguments, lines):
    trained = config("--datasource=omniglot --use_T --num_filters=8")
    assert contradictions(parsed("--notrain --run=folder", arguments), trained) == lines


@pytest.mark.parametrize("flag", ["--train_update_batch_size=-2", "--train_update_lr=0"])
def test_what_training_had_is_checked_under_its_own_name(flag):
    trained = config_from_flags(parsed("--use_T"))
    with pytest.raises(UsageError, match=f"^{flag.partition('=')[0]} must be "):
        contradictions(parsed(f"--notrain --run=r {flag}"), trained)


def test_the_run_to_evaluate_is_named_by_its_folder_or_by_flags():
    assert run_to_evaluate(parsed("--notrain --run=a/b")) == Path("a/b")
    by_flags = parsed("--notrain --logdir=l --use_T --train_update_batch_size=5")
    assert run_to_evaluate(by_flags) == Path("l/sinusoid-5shot-tnet-seed0")
    with pytest.raises(UsageError, match="--run=a and --logdir=b exclude each other"):
        run_to_evaluate(parsed("--notrain --run=a --logdir=b"))
    with pytest.raises(UsageError, match="--run=a is for evaluation: add --notrain"):
        config("--run=a")


@pytest.mark.parametrize(
    ("arguments", "tasks"),
    [
        ([], 600),
        (["--datasource=omniglot"], 600),
        (["--datasource=miniimagenet"], 4000),
        (["--datasource=miniimagenet", "--num_test_tasks=7"], 7),
    ],
)
def test_number_of_test_tasks(arguments, tasks):
    assert settings(*arguments).num_tasks == tasks


def test_test_set_is_the_test_split():
    assert settings("--notrain", "--test_set", "--mask=mode").split == "test"


@pytest.mark.parametrize(
    ("arguments", "checkpoint"),
    [("", "last"), ("--test_best", "best"), ("--test_iter=500", 500), ("--test_iter=-1", "last")],
)
def test_flags_choose_the_checkpoint_to_evaluate(arguments, checkpoint):
    assert chosen_checkpoint(parsed("--notrain", arguments)) == checkpoint


def test_two_checkpoints_to_evaluate_are_refused():
    with pytest.raises(UsageError, match="--test_best and --test_iter=500 exclude each other"):
        chosen_checkpoint(parsed("--notrain --test_best --test_iter=500"))
