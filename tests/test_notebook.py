"""docs/quickstart.ipynb runs from its first cell to its last, and what it shows is right."""

import json
import os

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from program import ROOT

NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text())


def run(notebook, names, *, tagged):
    """Run the code cells, those of Omniglot or the others, in the notebook's own names."""
    for cell in notebook["cells"]:
        of_omniglot = "omniglot" in cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and of_omniglot is tagged:
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)


@pytest.fixture(scope="module")
def names(notebook):
    """What the notebook's sinusoids leave behind."""
    matplotlib.use("Agg")
    names = {}
    before = plt.get_fignums()
    run(notebook, names, tagged=False)
    assert len(plt.get_fignums()) == len(before) + 1
    yield names
    plt.close("all")


def test_it_is_committed_without_outputs(notebook):
    """They would be images of the data, and of one machine."""
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_the_network_learns_the_new_sinusoid(names):
    x = names["x"].numpy()
    error = {
        steps: np.mean((y.numpy() - 3 * np.sin(x + 0.5)) ** 2)
        for steps, y in names["predictions"].items()
    }
    assert error[1] < error[0] / 4
    assert error[10] < error[0] / 4


@pytest.mark.skipif("OMNIGLOT_PATH" not in os.environ, reason="needs Omniglot in OMNIGLOT_PATH")
def test_the_pretrained_network_tells_five_characters_apart(notebook, names):
    run(notebook, names, tagged=True)
    assert names["probabilities"].shape == (5, 5)
    np.testing.assert_allclose(names["probabilities"].sum(axis=1), 1, rtol=1e-5)
    assert np.mean(names["answers"] == names["truth"]) >= 0.8
