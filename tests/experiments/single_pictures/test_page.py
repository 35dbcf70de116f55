"""The pages that are committed are those of the results beside them."""

from pathlib import Path

import pytest

from experiments.documents import read_document
from experiments.single_pictures.page import page
from experiments.single_pictures.plan import Plan
from utils.command.configuration import Config

RESULTS = Path(__file__).parents[3] / "results" / "single_pictures"


@pytest.mark.parametrize("folder", [RESULTS, RESULTS / "photographs"], ids=lambda path: path.name)
def test_a_stored_page_is_that_of_what_is_measured(folder):
    (file,) = folder.glob("*.json")
    document = read_document(file)
    config = Config.from_dict(document["configuration"], str(file))
    assert (folder / "README.md").read_text() == page(config, document, Plan(document["tasks"]))
