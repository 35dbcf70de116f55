"""Where things are on a contact sheet, seen in its pixels."""

import itertools

import numpy as np
import pytest
from PIL import Image

from utils.prediction.predictions import Predictions
from utils.prediction.tasks import Queries, SupportSet
from utils.reports.contact_sheet import plot_contact_sheet


def colours(number):
    """So many that no two are alike, none of them grey."""
    steps = np.arange(number) * 5 % 250
    return np.stack([steps, 250 - steps, np.full(number, 255 * (steps % 10 == 0))], 1) / 255


def plain(shades):
    return np.broadcast_to(shades[:, None, None], (len(shades), 8, 8, 3)).astype(np.float32)


def sheet(file, counts, queries, **known):
    """The pixels of a sheet and the violets of its queries, answered with class 0, 1, ...

    A class's pictures have its colour.
    """
    labels = np.repeat(np.arange(len(counts)), counts)
    support = SupportSet(
        [f"class {i}" for i in range(len(counts))], plain(colours(len(counts))[labels]), labels
    )
    violets = np.array([[red, 0, 0.5] for red in np.linspace(0.3, 0.7, queries)])
    asked = Queries([f"{i}.png" for i in range(queries)], plain(violets), **known)
    answers = np.eye(len(counts))[np.arange(queries) % len(counts)]
    plot_contact_sheet(file, support, Predictions(support.classes, asked, answers))
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")), violets


def box(pixels, colour):
    """Top, left, bottom and right of a colour."""
    rows, columns = np.nonzero(np.all(np.abs(pixels - np.rint(255 * colour)) <= 1, axis=2))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


@pytest.mark.parametrize(
    ("counts", "tallest"), [([1, 3], 450), ([2, 1, 1, 2, 1], 800), ([1, 2] * 25, 2650)]
)
def test_a_row_for_every_class_below_one_another_then_the_queries(tmp_path, counts, tallest):
    pixels, violets = sheet(tmp_path / "sheet.png", counts, 3)
    assert 300 <= pixels.shape[1] <= 1300
    assert pixels.shape[0] <= tallest
    boxes = [box(pixels, colour) for colour in colours(len(counts))]
    for above, below in itertools.pairwise(boxes):
        assert above[2] <= below[0]
        assert above[1] == below[1]
    for count, (top, left, bottom, right) in zip(counts, boxes, strict=True):
        side = bottom - top
        assert side >= 38
        assert abs((right - left) - (count * side + 8 * (count - 1))) <= 3
    asked = [box(pixels, violet) for violet in violets]
    assert all(b[0] >= boxes[-1][2] for b in asked)
    assert len({b[0] for b in asked}) == 1  # in one row
    assert [b[1] for b in asked] == sorted(b[1] for b in asked)


def test_a_class_of_more_pictures_than_a_row_holds_has_the_first(tmp_path):
    pixels, _ = sheet(tmp_path / "sheet.png", [1, 90], 2)
    assert pixels.shape[1] <= 1300
    _, _, _, right = box(pixels, colours(2)[1])
    assert right < pixels.shape[1] - 50  # there "+ 81" is written


def test_answers_are_green_or_red_where_the_truth_is_known(tmp_path):
    for labels, green, red in ((None, 0, 0), ([0, 1, 2], 3, 0), ([0, 2, 1], 1, 2)):
        known = {} if labels is None else {"labels": np.array(labels)}
        pixels, _ = sheet(tmp_path / "sheet.png", [1, 1, 1], 3, **known)
        low = pixels[box(pixels, colours(3)[2])[2] :].astype(int)
        written = [
            np.any(low[..., strong] - np.delete(low, strong, axis=2).max(axis=2) > 60)
            for strong in (1, 0)
        ]
        assert written == [green > 0, red > 0]


def test_of_many_queries_the_first_are_drawn(tmp_path, caplog):
    pixels, _ = sheet(tmp_path / "sheet.png", [1, 1], 202)
    assert "sheet.png shows the first 200 of 202" in caplog.text
    assert pixels.shape[0] <= 3500


def test_a_model_that_has_learned_shows_queries_alone(tmp_path):
    queries = Queries(["a.png"], plain(np.array([[0.2, 0.4, 0.6]])))
    answers = Predictions(["$x", "b"], queries, np.array([[0.9, 0.1]]))
    for name in ("sheet.png", "sheet.pdf"):
        plot_contact_sheet(tmp_path / name, None, answers)
    assert (tmp_path / "sheet.pdf").read_bytes()[:4] == b"%PDF"
    with Image.open(tmp_path / "sheet.png") as image:
        top, *_ = box(np.asarray(image.convert("RGB")), np.array([0.2, 0.4, 0.6]))
    assert top < 50


def test_of_very_many_classes_the_first_are_drawn(tmp_path, caplog):
    pixels, _ = sheet(tmp_path / "sheet.png", [1] * 1500, 1)
    assert "sheet.png shows the first 200 of 1500 classes" in caplog.text
    assert pixels.shape[0] <= 10_000
