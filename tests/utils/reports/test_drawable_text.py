import warnings

import matplotlib
import numpy as np
import pytest
from PIL import Image

from utils.prediction.predictions import Predictions
from utils.prediction.tasks import Queries, SupportSet
from utils.reports.contact_sheet import plot_contact_sheet
from utils.reports.drawable_text import drawable


def test_what_the_font_has_is_left_as_it_is():
    assert drawable("Käfer, жук, σκαθάρι $1", 60) == "Käfer, жук, σκαθάρι $1"


def test_what_the_font_lacks_is_written_as_its_number():
    assert drawable("虫a", 60) == "\\u866ba"
    assert drawable("🐞", 60) == "🐞" or drawable("🐞", 60) == "\\U0001f41e"


@pytest.mark.parametrize("longest", [5, 60])
def test_a_long_name_is_cut(longest):
    text = drawable("a" * 300, longest)
    assert len(text) == longest
    assert text[:-1] == "a" * (longest - 1)


@pytest.mark.parametrize("name", ["$\\frac{", "a$b$c", "虫" * 80, "x" * 255, "\\u866b", "_^{"])
def test_any_name_of_a_class_is_drawn_without_a_warning(tmp_path, name):
    x = np.zeros([2, 8, 8, 3], np.float32)
    support = SupportSet([name, "b"], x, np.arange(2))
    predictions = Predictions(support.classes, Queries(["0", "1"], x), np.eye(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_contact_sheet(tmp_path / "sheet.png", support, predictions)
    with Image.open(tmp_path / "sheet.png") as sheet:
        sheet.verify()
    assert matplotlib.rcParams["text.parse_math"]  # of other plots
