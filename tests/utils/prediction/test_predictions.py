"""What is printed of predictions."""

import json

import numpy as np
import pytest

from utils.prediction.predictions import Predictions
from utils.prediction.tasks import Queries

PROBABILITIES = np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])


@pytest.fixture
def predictions():
    queries = Queries(["a.png", "b.png"], np.zeros([2, 16, 16, 3], np.float32))
    return Predictions(["blue", "green", "red"], queries, PROBABILITIES)


def test_the_table_has_a_line_for_every_query(predictions):
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in predictions.to_table().splitlines()
    ]
    assert rows[0] == ["image", "class", "probability", "margin"]
    assert rows[2:] == [
        ["a.png", "green", "0.700", "0.500"],
        ["b.png", "blue", "0.500", "0.100"],
    ]


def test_json_has_every_probability(predictions):
    data = json.loads(predictions.to_json())
    assert data["classes"] == ["blue", "green", "red"]
    assert [answer["image"] for answer in data["queries"]] == ["a.png", "b.png"]
    for row, answer in zip(PROBABILITIES, data["queries"], strict=True):
        assert list(answer["probabilities"].values()) == row.tolist()
        assert answer["probability"] == row.max()
        first, second, _ = sorted(row, reverse=True)
        assert answer["margin"] == pytest.approx(first - second)
        assert answer["class"] == data["classes"][row.argmax()]


def test_names_do_not_break_the_table():
    names = ["a|b", "c\u202ed", "e" * 5000]
    queries = Queries([f"{name}/1.png" for name in names], np.zeros([3, 16, 16, 3], np.float32))
    heading, rule, *rows = Predictions(names, queries, np.eye(3)).to_table().splitlines()
    assert len(rows) == 3
    assert len({len(line) for line in (heading, rule, *rows)}) == 1
    assert len(heading) < 300
    assert rows[0].replace("\\|", "").count("|") == heading.count("|")
    assert "a\\|b/1.png" in rows[0]
    assert "c\\u202ed" in rows[1]
