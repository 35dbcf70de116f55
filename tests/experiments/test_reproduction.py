"""A short training of one cell of Table 1 lands where several seeds say that it must."""

import json
from dataclasses import replace
from pathlib import Path

from experiments.regression_runs import held_out_losses
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.runs.assembly import build_learner, build_source
from utils.runs.folder import Run
from utils.runs.training import train

# Both written by: python -m experiments.regression (the bounds alone: --only=bounds).
RESULTS = Path(__file__).parents[2] / "results" / "regression"


def test_stored_configuration_of_table_1_gives_a_loss_within_the_stored_bounds(tmp_path):
    bounds = json.loads((RESULTS / "reduced_bounds.json").read_text())
    file = RESULTS / "runs" / f"{bounds['run']}.json"
    document = json.loads(file.read_text())
    stored = Config.from_dict(document["configuration"], str(file))
    settings = EvaluationSettings(**document["evaluations"][str(bounds["shot"])]["settings"])
    config = replace(stored, metatrain_iterations=bounds["iterations"])
    assert config.seed not in bounds["seeds"]

    source = build_source(config, None, "")
    learner = build_learner(config, source)
    run = Run(tmp_path / "run", config)
    run.start(resume=True)
    train(run, learner, source, log=False)
    losses = held_out_losses(learner, source, settings, config)
    assert bounds["low"] < losses[:, bounds["steps"]].mean() < bounds["high"]
