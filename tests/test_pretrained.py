"""The models in pretrained/ give, loaded alone, what their runs were measured to give."""

import gc
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from data_generators import ImageInput, MiniImagenet
from experiments.record import HELD_OUT_TASKS
from experiments.single_pictures.domains import AS_TRAINED
from experiments.single_pictures.plan import Cell
from maml_tnet import verify_export
from utils.command.configuration import Config
from utils.prediction.model_input import input_of
from utils.runs.assembly import build_source
from utils.runs.datasets import EVALUATION_BATCH, held_out_episodes

ROOT = Path(__file__).parents[1]
# Two classes this near in probability are as good as equal: processors round differently, and ten
# gradient steps amplify it. With and without oneDNN, on one machine, a probability moved by 0.025.
UNDECIDED = 0.05


@pytest.fixture(autouse=True)
def model_goes() -> Iterator[None]:
    """Free a model before the next is loaded: together they are hundreds of MB."""
    yield
    gc.collect()


class Expected(NamedTuple):
    """What is asked of the models of a data source."""

    fixtures: tuple[str, str]  # of the data and of the cache
    input: ImageInput
    largest: int  # bytes of a model
    tasks: int
    accuracy: float  # at least


EXPECTED = {
    "omniglot": Expected(
        ("omniglot_path", "omniglot_cache"),
        ImageInput(28, grey=True, ink_is_one=True),
        largest=1_000_000,
        tasks=40,
        accuracy=0.9,
    ),
    "miniimagenet": Expected(
        ("photos_path", "photos_cache"),
        ImageInput(84, grey=False, ink_is_one=False),
        largest=1_500_000,
        tasks=20,
        accuracy=0.5,
    ),
}


def evaluation(document, mask):
    """The settings and accuracies [tasks, steps + 1] on the test split."""
    for found in document["evaluations"]:
        if (found["settings"]["split"], found["settings"]["mask"]) == ("test", mask):
            return found["settings"], np.array(found["per_task"])
    raise AssertionError(mask)


@pytest.mark.parametrize("model", sorted(ROOT.glob("pretrained/*-*")), ids=lambda p: p.name)
def test_a_pretrained_model_is_the_one_that_was_measured(model, request):
    results, name = model.name.split("-", 1)
    document = json.loads((ROOT / "results" / results / f"{name}.json").read_text())
    if document.get("held_out_tasks") != HELD_OUT_TASKS:
        pytest.skip(f"measured on other tasks than today's: run python -m experiments.{results}")
    config = Config.from_dict(document["configuration"], name)
    settings, measured = evaluation(document, "mode" if config.use_M else "sample")
    expected = EXPECTED[config.datasource]
    assert input_of(model) == expected.input
    size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    assert size < expected.largest

    source = build_source(config, *map(request.getfixturevalue, expected.fixtures))
    adapt_and_predict = tf.saved_model.load(str(model)).signatures["serving_default"]
    episodes = held_out_episodes(
        source,
        "test",
        tasks=expected.tasks,
        batch=EVALUATION_BATCH[config.datasource],
        shot=settings["shot"],
        query=settings["query"],
    )
    accuracies, undecided = [], []
    for _, episode in episodes:
        answers = adapt_and_predict(
            support_x=episode.support_x, support_y=episode.support_y, query_x=episode.query_x
        )["predictions"]
        correct = tf.argmax(answers, -1) == tf.argmax(episode.query_y, -1)
        accuracies.append(np.mean(correct, axis=1))
        best = tf.math.top_k(answers, 2).values
        undecided.append(np.sum(best[..., 0] - best[..., 1] < UNDECIDED, axis=1))
    found, stored = np.concatenate(accuracies), measured[: expected.tasks, config.num_updates]
    # Rounding may turn a query that is undecided, and few of those; nothing else may.
    assert np.mean(np.abs(found - stored)) <= 0.005
    queries = settings["query"] * config.num_classes
    turned = np.rint(np.abs(found - stored) * queries)
    assert np.all(turned <= np.concatenate(undecided))
    assert np.mean(found) > expected.accuracy


MODELS = sorted(file.parent for file in ROOT.glob("pretrained/*/saved_model.pb"))


@pytest.mark.parametrize("model", MODELS, ids=lambda p: p.name)
def test_a_pretrained_model_is_as_it_was_committed(model):
    names = {p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()}
    assert verify_export(model) == names - {"SHA256SUMS"}


@pytest.mark.parametrize(("way", "shot"), [(5, 1), (20, 1)])
def test_the_model_for_single_pictures_is_the_one_that_was_measured(
    way, shot, omniglot_path, omniglot_cache
):
    cell = Cell(way, shot, AS_TRAINED)
    (file,) = (ROOT / "results" / "single_pictures").glob("omniglot-*.json")
    document = json.loads(file.read_text())
    measured = np.array(document["cells"][cell.name]["accuracy"])
    config = Config.from_dict(document["configuration"] | {"num_classes": way}, "drawings")
    source = build_source(config, omniglot_path, omniglot_cache)
    model = tf.saved_model.load(str(ROOT / "pretrained" / "drawings"))
    episode = source.held_out("test", np.arange(40), shot=shot, query=cell.query)
    answers = model.signatures["serving_default"](
        support_x=episode.support_x, support_y=episode.support_y, query_x=episode.query_x
    )["predictions"]
    found = np.mean(tf.argmax(answers, -1) == tf.argmax(episode.query_y, -1), axis=1)
    assert np.mean(np.abs(found - measured[:40, config.num_updates])) <= 0.005
    assert np.mean(found) > 0.9
    for task in range(2):  # one query at a time, its classes in another order
        order = np.arange(way)[::-1]
        for query in range(3):
            alone = model.signatures["serving_default"](
                support_x=episode.support_x[task : task + 1],
                support_y=tf.gather(episode.support_y, order, axis=-1)[task : task + 1],
                query_x=episode.query_x[task : task + 1, query : query + 1],
            )["predictions"]
            together = tf.gather(answers[task, query], order)
            np.testing.assert_allclose(alone[0, 0], together, atol=1e-4)


def test_the_model_of_photographs_answers_each_by_itself_on_those_of_another_data_set(
    photos_path, photos_cache
):
    source = MiniImagenet.load(photos_path, photos_cache, 5)
    episode = source.held_out("test", np.arange(20), shot=5, query=2)
    answer = tf.saved_model.load(str(ROOT / "pretrained/photographs")).signatures["serving_default"]
    support_x, support_y, query_x = map(tf.constant, episode[:3])
    together = answer(support_x=support_x, support_y=support_y, query_x=query_x)["predictions"]
    found = np.mean(tf.argmax(together, -1) == tf.argmax(episode.query_y, -1))
    assert found > 0.55  # 66.5 of 100 tasks; chance is 20
    order = [3, 1, 4, 0, 2]
    alone = answer(
        support_x=support_x[:2],
        support_y=tf.gather(support_y, order, axis=-1)[:2],
        query_x=query_x[:2, 4:5],
    )["predictions"]
    expected = tf.gather(together[:2, 4:5], order, axis=-1)
    np.testing.assert_allclose(alone, expected, atol=1e-4)


def test_every_pretrained_model_is_listed():
    listed = re.findall(r"^- `(.+?)`: ", (ROOT / "pretrained" / "README.md").read_text(), re.M)
    assert sorted(listed) == sorted(
        path.parent.name for path in ROOT.glob("pretrained/*/saved_model.pb")
    )
