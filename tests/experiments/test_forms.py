"""Both forms of a small network, trained and measured."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import forms
from experiments.documents import rounded, write_document
from system.errors import FileError
from utils.runs import training

pytestmark = pytest.mark.usefixtures("two_blocks")

SMALL = (
    *("--datasource=omniglot", "--num_filters=4", "--metatrain_iterations=1"),
    *("--meta_batch_size=2", "--num_test_tasks=4", "--update_lr=0.4"),
)


def test_names_of_runs():
    assert forms.names(["tnet-5shot", "alpha-0.1-1shot"]) == [
        *("tnet-5shot-paper", "tnet-5shot-alone", "alpha-0.1-1shot-alone")
    ]
    config = forms.experiment("alpha-0.1-5shot-alone").config
    assert (config.update_lr, config.update_batch_size, config.use_M) == (0.1, 5, True)
    config = forms.experiment("meta-sgd-1shot-paper").config
    assert (config.update_lr, config.meta_sgd, config.queries) == (0.4, True, "together")


def test_a_form_is_trained_and_measured_once(folders, omniglot_path, omniglot_cache, monkeypatch):
    monkeypatch.setattr(forms, "COMMON", SMALL)
    monkeypatch.setattr(forms, "STEPS", 1)
    monkeypatch.setattr(training, "VALIDATION_TASKS", 4)
    monkeypatch.setattr(forms, "FORMS", {"alone": ("--queries=alone",)})
    folders = replace(folders, data_path=str(omniglot_path), cache_dir=omniglot_cache)
    forms.do(["maml-1shot"], folders)
    file = folders.records / "maml-1shot-alone.json"
    document = json.loads(file.read_text())
    assert np.shape(document["alone"]) == (4, 2)
    mean = 100 * np.mean(np.array(document["alone"])[:, 0])
    page = (folders.records / "README.md").read_text()
    assert f"| maml-1shot-alone | alone | {mean:.2f} ± " in page
    half = rounded(np.full([4, 2], 0.5))
    known = {"flags": document["flags"], "data": document["data"]}
    write_document(file, known | {"together": half, "alone": half})
    forms.do(["maml-1shot"], folders)  # is not done again
    page = (folders.records / "README.md").read_text()
    assert "| maml-1shot-alone | alone | 50.00 ± 0.00 | 50.00 ± 0.00 |" in page
    # On other data it would be done again, in a run that is of this data.
    monkeypatch.setattr(forms, "fingerprint", lambda *_: "other")
    monkeypatch.setattr(forms, "measured", lambda *_: {"together": half, "alone": half})
    forms.do(["maml-1shot"], folders)
    assert json.loads(file.read_text())["data"] == "other"


def test_the_papers_form_has_a_row_for_each_way_to_ask(tmp_path, monkeypatch):
    monkeypatch.setattr(forms, "STEPS", 0)
    values = {"together": rounded(np.full([4, 1], 0.75)), "alone": rounded(np.full([4, 1], 0.25))}
    write_document(tmp_path / "tnet-5shot-paper.json", {"flags": [], **values})
    page = forms.page(tmp_path)
    assert "| tnet-5shot-paper | together | 75.00 ± 0.00 |" in page
    assert "| tnet-5shot-paper | alone | 25.00 ± 0.00 |" in page
    assert "another alpha" not in page


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"alone": []}, "it has no 'flags'"),
        ({"flags": []}, "it has no 'together'"),
        ({"flags": [], "together": [[1.0]] * 2, "alone": [1.0]}, "'alone' must be numbers"),
    ],
)
def test_a_file_of_another_form_is_named_before_anything_is_trained(
    folders, monkeypatch, document, said
):
    monkeypatch.setattr(forms, "STEPS", 0)
    monkeypatch.setattr(forms, "fingerprint", lambda *_: pytest.fail("begun"))
    write_document(folders.records / "tnet-5shot-paper.json", document)
    with pytest.raises(FileError, match=rf"tnet-5shot-paper\.json is not what .*: {said}"):
        forms.do(["maml-1shot"], folders)
    assert not (folders.records / "README.md").exists()
