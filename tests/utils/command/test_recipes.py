import re
from pathlib import Path

import pytest
from absl import flags

from utils.command import recipes
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError

# The table "Recipes", row by row: iterations, meta-batch, K, alpha, inner steps.
TABLE = {
    ("sinusoid", 5): (60000, 4, 10, 0.01, 1),
    ("polynomial", 5): (60000, 4, 10, 0.01, 1),
    ("omniglot", 5): (60000, 32, 1, 0.4, 1),
    ("omniglot", 20): (60000, 16, 1, 0.1, 1),
    ("miniimagenet", 5): (60000, 4, 1, 0.01, 5),
    ("images", 5): (60000, 4, 1, 0.01, 5),
}


@pytest.mark.parametrize(("datasource", "way"), TABLE)
def test_recipe_has_the_papers_values(datasource, way):
    values = recipes.recipe(datasource, way)
    names = ("metatrain_iterations", "meta_batch_size", "update_batch_size", "update_lr")
    assert tuple(values[name] for name in (*names, "num_updates")) == TABLE[datasource, way]


def test_networks_of_the_recipes():
    assert recipes.recipe("sinusoid")["dim_hidden"] == 40
    assert recipes.recipe("polynomial")["norm"] is None
    omniglot, miniimagenet = recipes.recipe("omniglot"), recipes.recipe("miniimagenet")
    assert (omniglot["num_filters"], omniglot["max_pool"]) == (64, False)
    assert (miniimagenet["num_filters"], miniimagenet["max_pool"]) == (32, True)
    assert omniglot["norm"] == miniimagenet["norm"] == "batch_norm"


def test_only_photographs_clip_meta_gradients():
    clips = {source: recipes.recipe(source)["meta_grad_clip"] for source, _ in TABLE}
    assert clips == {
        "sinusoid": 0,
        "polynomial": 0,
        "omniglot": 0,
        "miniimagenet": 10,
        "images": 10,
    }


@pytest.mark.parametrize(("way", "alpha"), [(5, 0.4), (19, 0.4), (20, 0.1), (50, 0.1)])
def test_omniglot_recipe_depends_on_the_way(way, alpha):
    assert recipes.recipe("omniglot", way)["update_lr"] == alpha


def test_the_best_recipe_is_the_papers_and_a_cooldown():
    for way in (5, 20):
        paper, best = (recipes.recipe("omniglot", way, name) for name in recipes.RECIPES)
        assert best == paper | {"metatrain_iterations": 66000, "cooldown": 6000}
        assert (paper["metatrain_iterations"], paper["cooldown"]) == (60000, 0)


@pytest.mark.parametrize(
    ("datasource", "name", "line"),
    [
        ("omniglot", "fast", "--recipe must be paper or best, got 'fast'"),
        (
            "sinusoid",
            "best",
            "--recipe=best is for --datasource=omniglot; --datasource=sinusoid has none",
        ),
    ],
)
def test_a_recipe_that_is_not_there_is_one_line(datasource, name, line):
    with pytest.raises(UsageError) as caught:
        recipes.recipe(datasource, 5, name)
    assert str(caught.value) == line


def test_recipes_give_the_same_flags():
    assert len({frozenset(recipes.recipe(*key)) for key in TABLE}) == 1


def test_a_recipe_handed_out_can_be_changed_without_harm():
    recipes.recipe("sinusoid")["update_lr"] = 7.0
    assert recipes.recipe("sinusoid")["update_lr"] == 0.01


def test_unknown_data_source_lists_the_known_ones():
    with pytest.raises(UsageError) as caught:
        recipes.recipe("cifar")
    assert str(caught.value) == (
        "--datasource must be one of sinusoid, polynomial, omniglot, miniimagenet, images, "
        "got 'cifar'"
    )


def test_documented_commands_parse_and_are_the_mt_net():
    commands = re.findall(r"python main\.py (.*)", Path(recipes.__file__).read_text())
    assert len(commands) == len(TABLE) + 1  # and the best one
    for command in commands:
        flag_values = define(flags.FlagValues())
        parse(["main.py", *command.split()], flag_values)
        assert config_from_flags(flag_values).method == "MT-net"
