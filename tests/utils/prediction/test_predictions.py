"""The table of answers is a table, whatever classes are called."""

from types import SimpleNamespace

import numpy as np

from utils.prediction.predictions import Predictions


def test_names_do_not_break_the_table():
    names = ["a|b", "c\u202ed", "e" * 5000]
    task = SimpleNamespace(classes=names, query_names=[f"{name}/1.png" for name in names])
    heading, rule, *rows = Predictions(task, np.eye(3)).to_table().splitlines()
    assert len(rows) == 3
    assert len({len(line) for line in (heading, rule, *rows)}) == 1
    assert len(heading) < 300
    assert rows[0].replace("\\|", "").count("|") == heading.count("|")
    assert "a\\|b/1.png" in rows[0]
    assert "c\\u202ed" in rows[1]
