import dataclasses
import json

import pytest

from utils.command.configuration import Config
from utils.errors import UsageError

SINUSOID = {
    "datasource": "sinusoid",
    "num_classes": 5,
    "num_train_classes": -1,
    "baseline": None,
    "pretrain_iterations": 0,
    "metatrain_iterations": 60000,
    "meta_batch_size": 4,
    "meta_lr": 0.001,
    "meta_grad_clip": 0.0,
    "meta_optimizer": "adam",
    "update_batch_size": 10,
    "query_batch_size": 10,
    "update_lr": 0.01,
    "num_updates": 1,
    "poly_order": 1,
    "image_size": 84,
    "grey": False,
    "split_seed": 0,
    "use_T": False,
    "use_M": False,
    "share_M": True,
    "temp": 1.0,
    "logit_init": 0.0,
    "meta_sgd": False,
    "norm": None,
    "dim_hidden": 40,
    "num_filters": 64,
    "max_pool": False,
    "stop_grad": False,
    "seed": 0,
    "cooldown": 0,
    "queries": "together",
}
OF_IMAGES = ("num_classes", "num_train_classes", "norm", "num_filters", "max_pool", "queries")
OMNIGLOT = SINUSOID | {"datasource": "omniglot", "norm": "batch_norm", "update_batch_size": 1}


def test_no_more_iterations_than_can_be_counted():
    counts = {"pretrain_iterations": 1, "metatrain_iterations": 2**31 - 1}
    with pytest.raises(UsageError, match="at most 2147483647 together, got 2147483648"):
        Config(**(SINUSOID | counts))
    assert Config(**(SINUSOID | counts | {"pretrain_iterations": 0})).total_iterations == 2**31 - 1


def test_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config(**SINUSOID).seed = 1


@pytest.mark.parametrize(
    ("base", "changes", "line"),
    [
        (SINUSOID, {"datasource": "x"}, "--datasource must be sinusoid, polynomial, omniglot, "),
        (OMNIGLOT, {"num_classes": 1}, "--num_classes must be at least 2, got 1"),
        (OMNIGLOT, {"num_classes": "5"}, "--num_classes must be an integer, got '5'"),
        (OMNIGLOT, {"num_classes": True}, "--num_classes must be an integer, got True"),
        (
            OMNIGLOT,
            {"num_train_classes": 4},
            "--num_train_classes must be -1 (all) or at least 5, got 4",
        ),
        (SINUSOID, {"num_train_classes": 0}, "--num_train_classes must be -1 (all) or at least 1"),
        (SINUSOID, {"baseline": "mean"}, "--baseline must be oracle or None, got 'mean'"),
        (
            OMNIGLOT,
            {"baseline": "oracle"},
            "--baseline=oracle needs --datasource=sinusoid, got 'omniglot'",
        ),
        (SINUSOID, {"pretrain_iterations": -1}, "--pretrain_iterations must be at least 0, got -1"),
        (SINUSOID, {"metatrain_iterations": -1}, "--metatrain_iterations must be at least 0"),
        (SINUSOID, {"metatrain_iterations": 2**31}, "--metatrain_iterations must be at most 2147"),
        (SINUSOID, {"num_train_classes": 2**31}, "--num_train_classes must be at most 2147483647"),
        (SINUSOID, {"meta_batch_size": 0}, "--meta_batch_size must be at least 1, got 0"),
        (SINUSOID, {"meta_lr": 0.0}, "--meta_lr must be positive, got 0.0"),
        (SINUSOID, {"meta_lr": float("nan")}, "--meta_lr must be finite, got nan"),
        (SINUSOID, {"meta_grad_clip": -1.0}, "--meta_grad_clip must be at least 0, got -1.0"),
        (SINUSOID, {"meta_optimizer": "sgd"}, "--meta_optimizer must be adam, rectified_adam, "),
        (SINUSOID, {"update_batch_size": 0}, "--update_batch_size must be at least 1, got 0"),
        (SINUSOID, {"query_batch_size": 0}, "--query_batch_size must be at least 1, got 0"),
        (SINUSOID, {"update_lr": -0.1}, "--update_lr must be positive, got -0.1"),
        (SINUSOID, {"update_lr": float("inf")}, "--update_lr must be finite, got inf"),
        (SINUSOID, {"num_updates": 0}, "--num_updates must be at least 1, got 0"),
        (SINUSOID, {"poly_order": -1}, "--poly_order must be at least 0, got -1"),
        (SINUSOID, {"use_T": 1}, "--use_T must be true or false, got 1"),
        (SINUSOID, {"use_M": "yes"}, "--use_M must be true or false, got 'yes'"),
        (SINUSOID, {"share_M": None}, "--share_M must be true or false, got None"),
        (SINUSOID, {"temp": 0.0}, "--temp must be positive, got 0.0"),
        (SINUSOID, {"logit_init": float("-inf")}, "--logit_init must be finite, got -inf"),
        (SINUSOID, {"logit_init": "0"}, "--logit_init must be a number, got '0'"),
        (SINUSOID, {"meta_sgd": 0}, "--meta_sgd must be true or false, got 0"),
        (OMNIGLOT, {"norm": "group_norm"}, "--norm must be batch_norm, layer_norm or None, got "),
        (OMNIGLOT, {"norm": 3}, "--norm must be a string or None, got 3"),
        (SINUSOID, {"norm": "batch_norm"}, "--norm must be None for --datasource=sinusoid, "),
        (SINUSOID, {"dim_hidden": 0}, "--dim_hidden must be at least 1, got 0"),
        (OMNIGLOT, {"num_filters": 0}, "--num_filters must be at least 1, got 0"),
        (
            SINUSOID,
            {"max_pool": True},
            "--max_pool needs --datasource=omniglot or miniimagenet or ",
        ),
        (SINUSOID, {"stop_grad": 1.0}, "--stop_grad must be true or false, got 1.0"),
        (OMNIGLOT, {"queries": "one"}, "--queries must be together or alone, got 'one'"),
        (SINUSOID, {"queries": "alone"}, "--queries=alone needs --datasource=omniglot or "),
        (
            OMNIGLOT | {"queries": "alone"},
            {"pretrain_iterations": 3},
            "--pretrain_iterations must be 0 with --queries=alone",
        ),
        (SINUSOID, {"seed": -1}, "--seed must be at least 0, got -1"),
        (SINUSOID, {"seed": 2**31}, "--seed must be at most 2147483647, got 2147483648"),
    ],
)
def test_bad_value_is_one_line_naming_flag_and_value(base, changes, line):
    with pytest.raises(UsageError) as caught:
        Config(**(base | changes))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert repr(next(iter(changes.values()))) in str(caught.value) or "needs" in line


@pytest.mark.parametrize(
    ("changes", "method", "run_name"),
    [
        ({}, "MAML", "sinusoid-10shot-maml-seed0"),
        ({"share_M": False}, "MAML", "sinusoid-10shot-maml-seed0"),
        ({"meta_sgd": True, "seed": 3}, "Meta-SGD", "sinusoid-10shot-metasgd-seed3"),
        ({"use_T": True}, "T-net", "sinusoid-10shot-tnet-seed0"),
        ({"use_M": True}, "M-net", "sinusoid-10shot-mnet-seed0"),
        ({"use_T": True, "use_M": True}, "MT-net", "sinusoid-10shot-mtnet-seed0"),
        (
            {"use_T": True, "use_M": True, "share_M": False},
            "MT-net (unshared masks)",
            "sinusoid-10shot-mtnet-unshared-seed0",
        ),
        (
            {"use_T": True, "meta_sgd": True},
            "T-net + Meta-SGD",
            "sinusoid-10shot-tnet-metasgd-seed0",
        ),
        (
            {"use_M": True, "share_M": False, "meta_sgd": True},
            "M-net (unshared masks) + Meta-SGD",
            "sinusoid-10shot-mnet-unshared-metasgd-seed0",
        ),
        ({"stop_grad": True}, "first-order MAML", "sinusoid-10shot-first-order-maml-seed0"),
        ({"baseline": "oracle"}, "oracle", "sinusoid-10shot-oracle-seed0"),
        (
            {"baseline": "oracle", "use_T": True},
            "oracle T-net",
            "sinusoid-10shot-oracle-tnet-seed0",
        ),
        ({"pretrain_iterations": 9}, "pretrained MAML", "sinusoid-10shot-pretrained-maml-seed0"),
        (
            {"datasource": "polynomial", "poly_order": 2},
            "MAML",
            "polynomial2-10shot-maml-seed0",
        ),
        (
            {"datasource": "omniglot", "update_batch_size": 1},
            "MAML",
            "omniglot-5way-1shot-maml-seed0",
        ),
        (
            {"datasource": "omniglot", "use_T": True, "use_M": True, "queries": "alone"},
            "MT-net (queries alone)",
            "omniglot-5way-10shot-mtnet-alone-seed0",
        ),
    ],
)
def test_method_and_run_name(changes, method, run_name):
    config = Config(**(SINUSOID | changes))
    assert config.method == method
    assert config.run_name == run_name


def test_all_iterations_of_the_oracle_are_without_adaptation():
    changes = {"pretrain_iterations": 10, "metatrain_iterations": 20}
    oracle = Config(**(SINUSOID | changes | {"baseline": "oracle"}))
    assert (oracle.total_iterations, oracle.iterations_without_adaptation) == (30, 30)
    maml = Config(**(SINUSOID | changes))
    assert (maml.total_iterations, maml.iterations_without_adaptation) == (30, 10)


def test_only_images_are_classification():
    sources = ["sinusoid", "polynomial", "omniglot", "miniimagenet"]
    configs = [Config(**(SINUSOID | {"datasource": source})) for source in sources]
    assert [c.is_classification for c in configs] == [False, False, True, True]


def test_differences_name_each_field_with_both_values():
    here = Config(**(OMNIGLOT | {"num_filters": 32, "update_lr": 0.4}))
    there = Config(**(OMNIGLOT | {"num_filters": 64, "update_lr": 0.1}))
    assert here.differences(there) == [
        "update_lr is 0.1 there, 0.4 here",
        "num_filters is 64 there, 32 here",
    ]


def test_every_field_but_the_prolonged_one_can_differ():
    changes = {
        "datasource": "omniglot",
        "num_classes": 6,
        "num_train_classes": 100,
        "baseline": "oracle",
        "pretrain_iterations": 1,
        "meta_batch_size": 5,
        "meta_lr": 0.1,
        "meta_grad_clip": 10.0,
        "meta_optimizer": "lookahead",
        "cooldown": 100,
        "update_batch_size": 2,
        "query_batch_size": 3,
        "update_lr": 0.2,
        "num_updates": 5,
        "poly_order": 3,
        "image_size": 28,
        "grey": True,
        "split_seed": 1,
        "use_T": True,
        "use_M": True,
        "share_M": False,
        "temp": 2.0,
        "logit_init": 1.0,
        "meta_sgd": True,
        "norm": "layer_norm",
        "dim_hidden": 80,
        "num_filters": 32,
        "max_pool": True,
        "stop_grad": True,
        "queries": "alone",
        "seed": 1,
    }
    assert set(changes) == set(SINUSOID) - {"metatrain_iterations"}
    for name, value in changes.items():
        base = SINUSOID | {"use_M": name != "use_M"}
        if name in OF_IMAGES:
            base = base | {"datasource": "omniglot"}
        if name == "poly_order":
            base = base | {"datasource": "polynomial"}
        if name in ("image_size", "grey", "split_seed"):
            base = base | {"datasource": "images"}
        lines = Config(**base).differences(Config(**(base | {name: value})))
        assert lines == [f"{name} is {value} there, {base[name]} here"]


@pytest.mark.parametrize(
    "changes",
    [
        {"metatrain_iterations": 70000},
        {"poly_order": 3},
        {"share_M": False},
        {"temp": 2.0},
        {"num_filters": 32},
        {"num_classes": 20},
        {"image_size": 28},
        {"grey": True},
        {"split_seed": 1},
    ],
)
def test_a_longer_run_and_ignored_fields_are_no_difference(changes):
    assert Config(**SINUSOID).differences(Config(**(SINUSOID | changes))) == []


def test_a_run_whose_step_size_depends_on_its_end_cannot_be_prolonged():
    run = SINUSOID | {"cooldown": 5000}
    longer = Config(**(run | {"metatrain_iterations": 70000}))
    assert longer.differences(Config(**run)) == ["metatrain_iterations is 60000 there, 70000 here"]
    constant = Config(**(SINUSOID | {"metatrain_iterations": 70000}))
    assert constant.differences(Config(**run)) == [
        "metatrain_iterations is 60000 there, 70000 here",
        "cooldown is 5000 there, 0 here",
    ]


@pytest.mark.parametrize(("cooldown", "is_same"), [(10000, True), (10001, False)])
def test_a_run_can_be_prolonged_by_a_cooldown_that_begins_at_its_end_or_later(cooldown, is_same):
    changes = {"metatrain_iterations": 70000, "cooldown": cooldown}
    lines = Config(**(SINUSOID | changes)).differences(Config(**SINUSOID))
    assert (lines == []) == is_same


def test_a_configuration_from_before_a_field_had_its_default():
    values = {name: value for name, value in SINUSOID.items() if name != "cooldown"}
    assert Config.from_dict(values, "config.json") == Config(**SINUSOID)


def test_a_field_that_one_of_the_two_needs_is_a_difference():
    maml = Config(**SINUSOID)
    unshared = Config(**(SINUSOID | {"use_M": True, "share_M": False}))
    assert unshared.differences(maml) == [
        "use_M is False there, True here",
        "share_M is True there, False here",
    ]


@pytest.mark.parametrize("values", [SINUSOID, OMNIGLOT])
def test_json_holds_every_field_and_gives_the_same_configuration(values, tmp_path):
    config = Config(**values)
    config.write(tmp_path / "config.json")
    assert json.loads((tmp_path / "config.json").read_text()).items() >= values.items()
    assert Config.read(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            json.dumps(SINUSOID | {"colour": 1}),
            "unknown field 'colour'",
        ),
        (
            json.dumps({k: v for k, v in SINUSOID.items() if k != "temp"}),
            "field 'temp' is missing",
        ),
        (
            json.dumps(SINUSOID | {"seed": 0.5}),
            "--seed must be an integer, got 0.5",
        ),
    ],
)
def test_bad_json_names_file_and_field(text, line, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        Config.read(file)
    assert str(caught.value).startswith(f"{file}: {line}")
    assert "\n" not in str(caught.value)
