import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.experiment import Experiment
from experiments.regression_bounds import bounds_of
from experiments.regression_parts import PARTS
from experiments.regression_plan import ALPHAS, Plan
from experiments.regression_runs import STORED_STEPS, Runs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def experiment():
    return Experiment(
        "tiny", ("--use_T", "--use_M", "--metatrain_iterations=4", "--dim_hidden=3", "--seed=7")
    )


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "results", tmp_path / "work")


def test_a_run_leaves_its_configuration_and_every_task(runs, experiment):
    runs.finish([experiment, experiment])
    (file,) = runs.results.iterdir()
    document = json.loads(file.read_text())
    assert document["configuration"] == experiment.config.to_dict()
    assert document["configuration"]["seed"] == 7
    per_task = np.array(document["evaluations"]["10"]["per_task"])
    assert per_task.shape == (600, len(STORED_STEPS))
    mean = np.array(document["evaluations"]["10"]["mean"])
    assert mean.shape == (11,)
    np.testing.assert_allclose(per_task.mean(axis=0), mean[list(STORED_STEPS)], rtol=1e-3)
    result = runs.result(experiment)
    np.testing.assert_array_equal(result.after(5), per_task[:, 2])
    assert {name: len(z) for name, z in result.mask_logits.items()} == {
        "dense1": 3, "dense2": 3, "dense3": 1,
    }  # fmt: skip


def test_a_finished_run_is_not_done_again_but_one_of_other_settings_is(runs, experiment):
    runs.finish([experiment])
    (file,) = runs.results.iterdir()
    before = file.stat().st_mtime_ns
    runs.finish([experiment])
    assert file.stat().st_mtime_ns == before
    other_shot = Experiment(experiment.name, experiment.flags, (5, 10))
    assert not runs.has(other_shot)
    runs.finish([other_shot])
    assert runs.result(other_shot).losses.keys() == {5, 10}
    assert not runs.has(Experiment("tiny", (*experiment.flags, "--seed=8")))


def test_a_truncated_result_counts_as_missing(runs, experiment):
    runs.results.mkdir()
    (runs.results / "tiny.json").write_text('{"configuration": ')
    assert not runs.has(experiment)
    with pytest.raises(ValueError, match="tiny is not finished"):
        runs.result(experiment)


def test_divergence_in_training_is_recorded_and_the_last_weights_evaluated(runs):
    wild = Experiment("wild", ("--metatrain_iterations=300", "--update_lr=1e15", "--meta_lr=1e5"))
    runs.finish([wild])
    result = runs.result(wild)
    assert result.diverged_at is not None
    assert result.evaluated_at <= result.diverged_at
    assert np.isnan(result.after(1)).any()
    assert runs.has(wild)


def test_parts_share_the_runs_that_they_have_in_common():
    plan = Plan(seeds=3, figure4_seeds=5, iterations=60000)
    names = {part: {e.name for e in plan.of_part(part)} for part in PARTS}
    assert len(names["table1"]) == 4 * 3
    assert len(names["table2"]) == 2 * len(ALPHAS) * 3
    assert len(names["table1"] & names["table2"]) == 2 * 3
    assert len(names["figure4"]) == 4 * 5
    assert len(names["baselines"]) == 2 * 3
    assert len(names["fits"] - names["table1"] - names["figure4"]) == 2
    assert names["metric"] < names["table1"]


def test_every_run_has_the_configuration_that_its_name_says():
    plan = Plan(seeds=2, figure4_seeds=2, iterations=60000)
    experiments = {e.name: e for part in PARTS for e in plan.of_part(part)}
    for name, experiment in experiments.items():
        config = experiment.config
        assert name.endswith(f"seed{config.seed}")
        assert config.update_batch_size == 10
        if not name.startswith("reduced"):
            assert config.total_iterations == 60000
        if "alpha" in name:
            assert f"alpha{config.update_lr:g}-" in name
        if name.startswith("polynomial"):
            assert name.startswith(f"polynomial{config.poly_order}-")
    assert experiments["sinusoid-metasgd-alpha0.01-seed0"].config.method == "Meta-SGD"
    assert experiments["sinusoid-oracle-seed1"].config.method == "oracle"
    assert experiments["sinusoid-pretraining-seed1"].config.metatrain_iterations == 0


def test_bounds_are_four_standard_deviations_wide():
    bounds = bounds_of([1.0, 2.0, 3.0], run="r", iterations=1, shot=10, steps=1, seeds=[1, 2, 3])
    assert (bounds.low, bounds.high) == (-2.0, 6.0)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--only=table3", "--only must be some of table1,"),
        ("--seeds=0", "--seeds must be at least 1, got 0"),
        ("--iterations=x", "--iterations"),
        ("--sedes=1", "--sedes|sedes"),
    ],
)
def test_bad_flags_are_one_clear_line(tmp_path, flag, message):
    command = [sys.executable, "-m", "experiments.regression", f"--output={tmp_path}", flag]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert any(part in errors[0] for part in message.split("|"))
    assert list(tmp_path.iterdir()) == []
