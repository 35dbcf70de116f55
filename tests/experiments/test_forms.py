"""Both forms of a small network, trained and measured."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import forms
from experiments.record import rounded, write_document

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


@pytest.mark.parametrize("form", ["paper", "alone"])
def test_both_forms_are_measured(folders, omniglot_path, omniglot_cache, monkeypatch, form):
    monkeypatch.setattr(forms, "COMMON", SMALL)
    monkeypatch.setattr(forms, "STEPS", 1)
    monkeypatch.setattr(forms, "names", lambda parts: [f"{part}-{form}" for part in parts])
    folders = replace(folders, data_path=str(omniglot_path), cache_dir=omniglot_cache)
    forms.do(["maml-1shot"], folders)
    file = folders.records / f"maml-1shot-{form}.json"
    document = json.loads(file.read_text())
    assert np.shape(document["alone"]) == (4, 2)
    assert (document["alone"] == document["together"]) == (form == "alone")
    page = (folders.records / "README.md").read_text()
    mean = 100 * np.mean(np.array(document["alone"])[:, 0])
    assert f"| maml-1shot-{form} | alone | {mean:.2f} ± " in page
    half = np.full([4, 2], 0.5)
    flags = {"flags": document["flags"]}
    write_document(file, flags | {"together": rounded(half), "alone": rounded(half)})
    forms.do(["maml-1shot"], folders)  # is not done again
    page = (folders.records / "README.md").read_text()
    assert f"| maml-1shot-{form} | alone | 50.00 ± 0.00 | 50.00 ± 0.00 |" in page
