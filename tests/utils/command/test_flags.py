from pathlib import Path

import pytest
from absl import flags

from utils.command.flags import (
    cache_folder,
    check_learned_flags,
    check_prediction_flags,
    check_purpose,
    chosen_checkpoint,
    config_from_flags,
    contradictions,
    define,
    evaluation_settings,
    parse,
    run_to_evaluate,
    without_effect,
)
from utils.errors import UsageError

ORIGINAL = """
datasource num_classes num_train_classes baseline pretrain_iterations
metatrain_iterations meta_batch_size meta_lr update_batch_size update_lr num_updates poly_order
use_T use_M share_M temp logit_init norm dim_hidden num_filters max_pool stop_grad log logdir resume
train test_iter test_set train_update_batch_size train_update_lr
"""


def parsed(*arguments):
    """Parse arguments separated by spaces, in one text or in several."""
    flag_values = define(flags.FlagValues())
    assert parse(["main.py", *" ".join(arguments).split()], flag_values) == ["main.py"]
    return flag_values


def config(*arguments):
    return config_from_flags(parsed(*arguments))


def settings(*arguments):
    flag_values = parsed(*arguments)
    return evaluation_settings(flag_values, config_from_flags(flag_values))


def test_every_original_flag_but_the_retired_is_there():
    assert set(ORIGINAL.split()) <= set(define(flags.FlagValues()))


def test_every_flag_that_a_recipe_gives_says_so():
    flag_values = define(flags.FlagValues())
    without_default = {
        name
        for name in flag_values
        if flag_values[name].value is None and "(recipe)" in flag_values[name].help
    }
    assert without_default == {
        "metatrain_iterations",
        "meta_batch_size",
        "meta_grad_clip",
        "cooldown",
        "update_batch_size",
        "query_batch_size",
        "update_lr",
        "num_updates",
        "norm",
        "dim_hidden",
        "num_filters",
        "max_pool",
    }


def test_two_flags_make_the_papers_sinusoid_mt_net():
    run = config("--use_T", "--use_M")
    assert (run.datasource, run.method, run.share_M) == ("sinusoid", "MT-net", True)
    assert (run.metatrain_iterations, run.update_batch_size, run.update_lr) == (60000, 10, 0.01)
    assert (run.meta_lr, run.temp, run.logit_init, run.seed) == (0.001, 1.0, 0.0, 0)
    assert run.run_name == "sinusoid-10shot-mtnet-seed0"


def test_the_best_recipe_is_had_by_name_and_yields_to_flags():
    best = config("--datasource=omniglot --num_classes=20 --recipe=best --meta_batch_size=8")
    assert (best.cooldown, best.update_lr, best.meta_batch_size) == (6000, 0.1, 8)
    assert config("--datasource=omniglot").cooldown == 0


def test_original_omniglot_command_means_what_it_meant():
    run = config(
        "--datasource=omniglot --metatrain_iterations=40000 --meta_batch_size=16",
        "--update_batch_size=1 --num_classes=20 --num_updates=1 --logdir=logs/o",
        "--update_lr=.1 --use_T=True --use_M=True --share_M=True",
    )
    assert (run.metatrain_iterations, run.meta_batch_size, run.num_classes) == (40000, 16, 20)
    assert (run.method, run.norm, run.num_filters) == ("MT-net", "batch_norm", 64)
    assert run.run_name == "omniglot-20way-1shot-mtnet-seed0"


def test_a_flag_given_wins_over_the_recipe_even_with_the_value_zero():
    run = config(
        "--datasource=miniimagenet --num_updates=1 --nomax_pool --norm=None",
        "--metatrain_iterations=0 --meta_grad_clip=0",
    )
    assert (run.num_updates, run.max_pool, run.norm) == (1, False, None)
    assert (run.metatrain_iterations, run.meta_grad_clip) == (0, 0)
    assert (run.num_filters, run.query_batch_size) == (32, 15)


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        (["--datasource=omniglot"], 1),
        (["--datasource=omniglot", "--update_batch_size=5"], 5),
        (["--datasource=omniglot", "--update_batch_size=5", "--query_batch_size=2"], 2),
        (["--datasource=miniimagenet", "--update_batch_size=5"], 15),
        (["--update_batch_size=5"], 10),
    ],
)
def test_queries_per_class(arguments, query):
    assert config(*arguments).query_batch_size == query


def test_booleans_have_a_negative_form():
    run = config("--use_M", "--noshare_M")
    assert run.method == "M-net (unshared masks)"
    assert not parsed("--notrain").train


def test_oracle_and_none_are_words():
    assert config("--baseline=oracle").run_name == "sinusoid-10shot-oracle-seed0"
    assert config("--baseline=None").baseline is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--frobnicate=1"], "--frobnicate is no flag of this program"),
        (["--use-t"], "--use-t is no flag of this program; did you mean --use_T"),
        (["--noseed"], "--noseed is no flag of this program; did you mean --seed?"),
        (["--num_classes=five"], "--num_classes must be an integer, got 'five'"),
        (["--num_classes=1\n2"], r"--num_classes must be an integer, got '1\n2'"),
        (
            ["--num_classes=" + "9" * 5000],
            "--num_classes must be an integer, got '" + "9" * 59 + "...",
        ),
        (["--update_lr=0,4"], "--update_lr must be a number, got '0,4'"),
        (["--update_lr="], "--update_lr must be a number, got ''"),
        (["--use_T=maybe"], "--use_T must be true or false, got 'maybe'"),
        (["--mask=mean"], "--mask must be sample or mode, got 'mean'"),
        (["--test_iter=-2"], "--test_iter must be an integer >= -1, got '-2'"),
        (["--num_classes"], "--num_classes needs a value: write --num_classes=VALUE"),
        (["--conv"], "--conv is retired: "),
        (["--noconv"], "--conv is retired: "),
        (["--conv=False"], "--conv is retired: "),
        (["--debug=True"], "--debug is retired: "),
        (
            ["--data_path=gs://" + "x" * 5000],
            "--data_path=gs://" + "x" * 55 + "...: must be a file or folder of this machine, not",
        ),
        (["--use_T", "True"], "unexpected argument 'True': flags are written --name=value"),
    ],
)
def test_unreadable_command_line_is_one_line(arguments, line):
    with pytest.raises(UsageError) as caught:
        parse(["main.py", *arguments], define(flags.FlagValues()))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--datasource=cifar"],
            "--datasource must be one of sinusoid, polynomial, omniglot, miniimagenet, images, "
            "got 'cifar'",
        ),
        (["--num_classes=1"], "--num_classes must be at least 2, got 1"),
        (["--meta_lr=nan"], "--meta_lr must be finite, got nan"),
        (
            ["--train_update_lr=0.1"],
            "--train_update_lr is for evaluation: give --update_lr to train, or add --notrain",
        ),
        (
            ["--train_update_batch_size=5"],
            "--train_update_batch_size is for evaluation: give --update_batch_size to train, "
            "or add --notrain",
        ),
        (
            ["--notrain", "--train_update_batch_size=0"],
            "--train_update_batch_size must be at least 1, got 0",
        ),
        (["--notrain", "--train_update_lr=0"], "--train_update_lr must be positive, got 0.0"),
    ],
)
def test_bad_training_flag_is_one_line(arguments, line):
    with pytest.raises(UsageError) as caught:
        config(*arguments)
    assert str(caught.value) == line


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


def evaluated(trained, *arguments):
    """How a run of some flags is evaluated by others."""
    return evaluation_settings(parsed("--notrain --run=folder", *arguments), config(*trained))


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


def test_two_of_what_one_is_read_of_are_refused(tmp_path):
    for both in (["--support=a", "--support=b"], ["--support", "a", "-support=b"]):
        with pytest.raises(UsageError, match=r"^--support is given more than once, a and b: only"):
            parse(["main.py", *both], define(flags.FlagValues()))
    file = tmp_path / "flags"
    file.write_text("--data_path=a\n--seed=1\n")
    values = define(flags.FlagValues())
    parse(["main.py", f"--flagfile={file}", "--data_path=b", "--data_path=b", "--seed=2"], values)
    assert (values.data_path, values.seed) == ("b", 2)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--support=a", "--support needs --query, the images to classify, or --save_adapted"),
        ("--save_adapted=b --query=c", "--save_adapted needs --support, the classes to learn"),
        ("--picture=a.xyz", r"--picture must end in \.png or \.pdf, or be empty, got 'a\.xyz'"),
    ],
)
def test_flags_of_a_prediction_that_do_not_fit_are_one_line(arguments, line):
    check_prediction_flags(parsed("--predict --support=a --query=b --picture=c.pdf"))
    with pytest.raises(UsageError, match=line):
        check_prediction_flags(parsed("--predict", arguments))


@pytest.mark.parametrize(
    ("arguments", "classes", "line"),
    [
        ("--query=b", None, "--query needs --support: --model=m is yet to learn classes"),
        ("--support=a --query=b", ["x", "y"], "has learned its classes, x, y: leave --support out"),
        ("", ["x", "y"], "--model=m has learned its classes: give --query"),
    ],
)
def test_a_model_that_has_learned_is_asked_and_another_learns_first(arguments, classes, line):
    given = parsed("--predict --model=m", arguments)
    with pytest.raises(UsageError, match=line):
        check_learned_flags(classes, given)
    check_learned_flags([] if classes is None else None, given)


def test_queries_are_named_by_a_flag_that_is_repeated(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parsed("--predict").query is None
    given = parsed("--predict --support=a --query=b.png --query=~/c,d --picture=")
    check_prediction_flags(given)
    assert given.query == ["b.png", f"{tmp_path}/c,d"]
    assert given.picture == ""
    with pytest.raises(UsageError, match="must name a file or folder, got an empty text"):
        parsed("--predict --query=")


def test_cache_folder_follows_flag_then_xdg_then_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder(parsed()) == tmp_path / ".cache" / "maml_tnet"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(parsed()) == tmp_path / "xdg" / "maml_tnet"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder(parsed()) == tmp_path / ".cache" / "maml_tnet"
    assert cache_folder(parsed("--cache_dir=/data")) == Path("/data")


def test_a_switch_with_no_takes_no_value():
    with pytest.raises(UsageError, match="--nouse_T takes no value: write it alone, got '1'"):
        parsed("--nouse_T=1")


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ("--model=m", "--predict"),
        ("--support=a --query=b", "--predict"),
        ("--notrain --json", "--predict"),
        ("--picture=a.png", "--predict"),
        ("--test_best", "--notrain"),
        ("--test_iter=5", "--notrain"),
    ],
)
def test_a_flag_that_would_be_passed_over_is_refused(arguments, needed):
    with pytest.raises(UsageError, match=f"is for {needed}: add it, or leave"):
        check_purpose(parsed(arguments))


@pytest.mark.parametrize(
    "arguments", ["", "--test_iter=-1", "--notrain --test_best", "--predict --json"]
)
def test_flags_of_what_is_asked_for_pass(arguments):
    check_purpose(parsed(arguments))


@pytest.mark.parametrize("value", ["nan", "inf", "0", "86401"])
def test_workers_are_waited_for_as_long_as_a_clock_can_say(value):
    with pytest.raises(UsageError, match=r"--peer_timeout must be (finite|at least|at most)"):
        check_purpose(parsed(f"--distribute=multiworker --peer_timeout={value}"))


@pytest.mark.parametrize(
    "arguments",
    [
        "--export_dir=d",
        "--mask=sample",
        "--run=r",
        "--support=a --query=b --datasource=omniglot",
        "--query=b --num_classes=3",
        "--support=a --query=b --data_path=d",
    ],
)
def test_what_no_prediction_looks_at_is_refused(arguments):
    name = arguments.split("--")[-1].partition("=")[0]
    with pytest.raises(UsageError, match=rf"^--{name} has no part in --predict.*: leave it out$"):
        check_prediction_flags(parsed("--predict", arguments))


def test_a_picture_that_is_not_drawn_need_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    picture = f"--picture={tmp_path / 'file' / 'x.png'}"
    learns = ("--predict", "--support=a", "--save_adapted=b", picture)
    check_prediction_flags(parsed(*learns))
    with pytest.raises(UsageError, match=r"^--picture=.* cannot be written: nothing can be made"):
        check_prediction_flags(parsed(*learns, "--query=c"))


def test_no_picture_replaces_an_image_that_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("support/a/1.png", "query/2.png", "3.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    given = "--predict --support=support --query=query --query=3.png"
    for name in ("support/a/1.png", f"{tmp_path}/query/2.png", "./3.png"):
        with pytest.raises(UsageError, match=rf"^--picture={name} would replace one of the images"):
            check_prediction_flags(parsed(given, f"--picture={name}"))
    for name in ("query/new.png", "sheet.png"):
        check_prediction_flags(parsed(given, f"--picture={name}"))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("--use_T --poly_order=3 --temp=0.5 --grey", ["--grey", "--poly_order", "--temp"]),
        ("--mask=mode --data_path=d", ["--data_path", "--mask"]),
        ("--use_M --mask=mode --temp=0.5", []),
        ("--datasource=images --data_path=d --grey --dim_hidden=3", ["--dim_hidden"]),
        ("--notrain --noresume --nolog --cache_dir=d", ["--cache_dir", "--log", "--resume"]),
    ],
)
def test_flags_without_effect_are_named(arguments, names):
    flag_values = parsed(arguments)
    assert without_effect(config_from_flags(flag_values), flag_values) == names
