from pathlib import Path

import pytest
from absl import flags
from command_lines import config, parsed

from utils.command.flags import (
    cache_folder,
    check_purpose,
    config_from_flags,
    define,
    parse,
    without_effect,
)
from utils.errors import UsageError

ORIGINAL = """
datasource num_classes num_train_classes baseline pretrain_iterations
metatrain_iterations meta_batch_size meta_lr update_batch_size update_lr num_updates poly_order
use_T use_M share_M temp logit_init norm dim_hidden num_filters max_pool stop_grad log logdir resume
train test_iter test_set train_update_batch_size train_update_lr
"""


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


def test_two_of_what_one_is_read_of_are_refused(tmp_path):
    for both in (["--support=a", "--support=b"], ["--support", "a", "-support=b"]):
        with pytest.raises(UsageError, match=r"^--support is given more than once, a and b: only"):
            parse(["main.py", *both], define(flags.FlagValues()))
    file = tmp_path / "flags"
    file.write_text("--data_path=a\n--seed=1\n")
    values = define(flags.FlagValues())
    parse(["main.py", f"--flagfile={file}", "--data_path=b", "--data_path=b", "--seed=2"], values)
    assert (values.data_path, values.seed) == ("b", 2)


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
