"""Prediction with an exported model: folders in, classes and probabilities out."""

import numpy as np
import pytest
from plain_pictures import COLOURS, INPUT, plain

from utils.errors import UsageError
from utils.prediction.saved_model import find_model, predict
from utils.prediction.tasks import Queries, read_queries, read_support


def read(support, query):
    return read_support(str(support), INPUT), read_queries([str(query)], INPUT)


def test_plain_colours_are_told_apart(model, support, query):
    predictions = predict(model, *read(support, query))
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert predictions.classes == ["blue", "green", "red"]
    assert predictions.labels.tolist() == [0, 1, 2]


def test_other_numbers_of_support_images(model, support, query):
    plain(support / "red" / "another.png", COLOURS["red"])
    learned, queries = read(support, query)
    assert len(learned.x) == 7
    assert predict(model, learned, queries).probabilities.shape == (3, 3)


def test_many_images_are_classified_in_equal_parts(model, support):
    x = np.random.default_rng(0).random([202, 16, 16, 3], np.float32)
    names = [f"{i}.png" for i in range(202)]
    learned = read_support(str(support), INPUT)
    all_of_them = predict(model, learned, Queries(names, x))
    assert all_of_them.probabilities.shape == (202, 3)
    part = predict(model, learned, Queries(names[68:135], x[68:135]))
    np.testing.assert_allclose(all_of_them.probabilities[68:135], part.probabilities, atol=1e-5)


def test_any_number_of_classes_and_each_query_by_itself(any_way, support, query, caplog):
    for name, colour in {"white": (255, 255, 255), "black": (0, 0, 0)}.items():
        plain(support / name / "0.png", colour)
        plain(query / f"like-{name}.bmp", colour)
    learned, queries = read(support, query)
    together = predict(any_way, learned, queries)
    assert together.probabilities.shape == (5, 5)
    for number, name in enumerate(queries.names):
        alone = predict(any_way, learned, Queries([name], queries.x[number : number + 1]))
        np.testing.assert_allclose(
            alone.probabilities[0], together.probabilities[number], atol=1e-5
        )
    assert not caplog.text


def test_the_papers_form_says_that_it_answers_queries_together(model, support, query, caplog):
    predict(model, *read(support, query))
    (line,) = caplog.messages
    assert f"{model} has the paper's form" in line
    assert "\n" not in line


def test_another_number_of_classes_is_refused(model, support, query):
    plain(support / "white" / "0.png", (255, 255, 255))
    with pytest.raises(UsageError, match=r"tells 3 classes apart, the support set has 4: blue"):
        predict(model, *read(support, query))


def test_a_model_is_found_itself_or_in_its_run(model, tmp_path):
    assert find_model(str(model)) == model
    assert find_model(str(model.parent)) == model
    with pytest.raises(UsageError, match="--predict needs --model"):
        find_model(None)
    with pytest.raises(UsageError, match=f"--model={tmp_path} is neither a SavedModel nor"):
        find_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"is a run without a SavedModel.*--export_dir"):
        find_model(str(tmp_path))
