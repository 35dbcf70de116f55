"""The models in pretrained/ give, loaded alone, what their runs were measured to give."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from utils.assembly import build_source
from utils.config import Config
from utils.datasets import EVALUATION_BATCH, held_out_episodes
from utils.model_input import ModelInput

ROOT = Path(__file__).parents[1]
TASKS = 100
LARGEST = 2_000_000  # bytes of a model
FOLDERS = {
    "omniglot": ("omniglot_path", "omniglot_cache"),
    "miniimagenet": ("photos_path", "photos_cache"),
}
INPUTS = {
    "omniglot": ModelInput(28, grey=True, ink_is_one=True),
    "miniimagenet": ModelInput(84, grey=False, ink_is_one=False),
}


def evaluation(document, mask):
    """The settings and accuracies [tasks, steps + 1] on the test split."""
    for found in document["evaluations"]:
        if (found["settings"]["split"], found["settings"]["mask"]) == ("test", mask):
            return found["settings"], np.array(found["accuracy"])
    raise AssertionError(mask)


@pytest.mark.parametrize("model", sorted(ROOT.glob("pretrained/*-*")), ids=lambda p: p.name)
def test_a_pretrained_model_is_the_one_that_was_measured(model, request):
    results, name = model.name.split("-", 1)
    document = json.loads((ROOT / "results" / results / f"{name}.json").read_text())
    config = Config.from_dict(document["configuration"], name)
    settings, measured = evaluation(document, "mode" if config.use_M else "sample")
    assert ModelInput.beside(model) == INPUTS[config.datasource]
    assert sum(file.stat().st_size for file in model.rglob("*") if file.is_file()) < LARGEST

    source = build_source(config, *map(request.getfixturevalue, FOLDERS[config.datasource]))
    adapt_and_predict = tf.saved_model.load(str(model)).signatures["serving_default"]
    episodes = held_out_episodes(
        source,
        "test",
        tasks=TASKS,
        batch=EVALUATION_BATCH[config.datasource],
        shot=settings["shot"],
        query=settings["query"],
    )
    accuracies = []
    for _, episode in episodes:
        answers = adapt_and_predict(
            support_x=episode.support_x, support_y=episode.support_y, query_x=episode.query_x
        )["predictions"]
        correct = tf.argmax(answers, -1) == tf.argmax(episode.query_y, -1)
        accuracies.append(np.mean(correct, axis=1))
    found, expected = np.concatenate(accuracies), measured[:TASKS, config.num_updates]
    # Rounding may turn a query that is undecided; nothing else may.
    queries = settings["query"] * config.num_classes
    assert np.sum(np.abs(found - expected)) * queries <= 2
    assert np.mean(found) > 2 / config.num_classes
