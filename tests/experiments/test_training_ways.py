"""Small networks trained on several numbers of classes, and measured."""

import json

import numpy as np
import pytest
import tensorflow as tf

from experiments import training_ways
from experiments.documents import write_document
from system.errors import FileError
from utils.runs.assembly import build_learner

pytestmark = pytest.mark.usefixtures("two_blocks")


def test_each_number_of_classes_is_trained_in_turn_and_measured_once(
    omniglot_path, omniglot_cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(training_ways, "FLAGS", (*training_ways.FLAGS, "--num_filters=4"))
    monkeypatch.setattr(training_ways, "ITERATIONS", 3)
    monkeypatch.setattr(training_ways, "TASKS", 4)
    monkeypatch.setattr(training_ways, "PICTURES", 24)
    monkeypatch.setattr(training_ways, "PARTS", {"3-2-way": (3, 2)})
    monkeypatch.setattr(training_ways, "MEASURED", [(4, 1)])
    drawn, build = [], training_ways.build_source

    def build_source(config, *data):
        source = build(config, *data)
        episodes = source.episodes

        def recorded(split, seed, iteration, *, tasks, shot, query):
            drawn.append((config.num_classes, split, tasks, shot, query))
            return episodes(split, seed, iteration, tasks=tasks, shot=shot, query=query)

        source.episodes = recorded
        return source

    monkeypatch.setattr(training_ways, "build_source", build_source)
    learners = []
    monkeypatch.setattr(
        training_ways,
        "build_learner",
        lambda *args, **kwargs: learners.append(build_learner(*args, **kwargs)) or learners[0],
    )
    tf.config.run_functions_eagerly(True)  # nothing is worth compiling
    try:
        training_ways.do(["3-2-way"], tmp_path, str(omniglot_path), omniglot_cache)
    finally:
        tf.config.run_functions_eagerly(False)
    # 24 pictures are 2 tasks of 3 classes, and 3 of 2, of one picture and 3 queries a class.
    assert drawn == [(3, "train", 2, 1, 3), (2, "train", 3, 1, 3), (3, "train", 2, 1, 3)]
    assert int(learners[0].optimizer.iterations) == 3
    document = json.loads((tmp_path / "3-2way.json").read_text())
    assert document["ways"] == [3, 2]
    mean = 100 * np.mean(document["cells"]["4-way 1-shot, as trained"])
    assert f"| 3-2-way | {mean:.2f} ± " in (tmp_path / "README.md").read_text()
    training_ways.do(["3-2-way"], tmp_path, str(omniglot_path), omniglot_cache)
    assert len(learners) == 1


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"cells": {}}, "it has no 'flags'"),
        ({"flags": [], "ways": [20]}, "it has no 'cells'"),
        ({"flags": [], "ways": [20], "cells": []}, "'cells' must be an object"),
        (
            {"flags": [], "ways": [20], "cells": {"2-way 1-shot, as trained": [1.0]}},
            "it has no '5-",
        ),
    ],
)
def test_a_file_of_another_form_is_named_before_anything_is_trained(
    tmp_path, monkeypatch, document, said
):
    monkeypatch.setattr(training_ways, "build_source", lambda *_: pytest.fail("begun"))
    write_document(tmp_path / "20way.json", document)
    with pytest.raises(FileError, match=rf"20way\.json is not what it should be: {said}"):
        training_ways.do(["5-way"], tmp_path, None, "")
    assert not (tmp_path / "README.md").exists()


def test_every_column_has_its_own_cell_in_whatever_order_they_are_stored(tmp_path):
    cells = {
        f"{way}-way {shot}-shot, as trained": [way / 100, way / 100]
        for way, shot in reversed(training_ways.MEASURED)
    }
    write_document(tmp_path / "20way.json", {"flags": [], "ways": [20], "cells": cells})
    *_, row = training_ways.page(tmp_path).rstrip().splitlines()
    means = [cell.split(" ± ")[0] for cell in row.strip("| ").split(" | ")[1:]]
    assert means == [f"{way:.2f}" for way, _ in training_ways.MEASURED]
