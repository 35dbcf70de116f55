"""What a data record says of data, and of changes to it, made one at a time."""

import json

import numpy as np
import pytest

from data_generators import DataRecord
from data_generators.data_record import image_class

CLASSES = {
    "train": {"ant": [1, 2, 3], "bee": [4, 5]},
    "val": {"cat": [6, 7]},
    "test": {"dog": [8, 9], "eel": [10]},
}


def record(**splits):
    return DataRecord(
        {
            split: {name: image_class(checksums) for name, checksums in classes.items()}
            for split, classes in (CLASSES | splits).items()
        }
    )


def test_a_record_survives_json_and_names_the_classes_of_each_split():
    values = json.loads(json.dumps(record().to_dict()))
    assert values["classes"] == {
        "train": {"ant": 3, "bee": 2},
        "val": {"cat": 2},
        "test": {"dog": 2, "eel": 1},
    }
    assert DataRecord.from_dict(values) == record()
    assert DataRecord.from_dict(values).fingerprint == record().fingerprint


CHANGES = [
    ({"test": {"dog": [8, 9]}}, ["class eel is missing there, in test here"]),
    (
        {"val": {"cat": [6, 7], "fox": [11]}},
        ["class fox is in val there, missing here"],
    ),
    (
        {"train": {"ant": [1, 2, 3]}, "val": {"bee": [4, 5], "cat": [6, 7]}},
        ["class bee is in val there, in train here"],
    ),
    (
        {"val": {"cat": [6, 7, 8]}, "test": {"dog": [9, 8], "eel": [10]}},
        ["class cat has 3 images there, 2 here", "class dog has other images there than here"],
    ),
    (
        {"train": {"bee": [4, 5], "ant": [1, 2, 3]}},
        ["the classes of train are in another order there than here"],
    ),
    (
        {"train": {"gnu": [1], "hen": [2]}, "val": {"cat": [0, 7]}},
        [
            "class ant is missing there, in train here",
            "class bee is missing there, in train here",
            "class cat has other images there than here",
            "2 more differences",
        ],
    ),
]


@pytest.mark.parametrize(("splits", "lines"), CHANGES)
def test_every_change_of_the_data_is_said_and_changes_the_fingerprint(splits, lines):
    there = record(**splits)
    assert record().differences(there) == lines
    assert there.differences(record())
    assert there.fingerprint != record().fingerprint
    assert record().differences(record()) == []


def test_a_class_is_its_contents_in_their_order():
    assert image_class(np.array([1, 2], np.uint32)) == image_class([1, 2])
    others = [[2, 1], [1, 2, 3], [1], [1, 3], [1 + 2**31, 2], []]
    digests = {image_class(checksums).digest for checksums in [[1, 2], *others]}
    assert len(digests) == 1 + len(others)
    assert image_class([1, 2]).images == 2


@pytest.mark.parametrize("values", [{}, {"classes": {}}, {"classes": 1, "digests": 2}])
def test_what_is_no_record_raises_what_it_says(values):
    with pytest.raises((AttributeError, KeyError, TypeError)):
        DataRecord.from_dict(values)
