"""What the benchmark of the program measures, on the sinusoid, which needs no data."""

import pytest

from benchmarks import program
from maml_tnet import MetaLearner, Regressor
from utils.errors import UsageError
from utils.runs.assembly import build_source


@pytest.fixture(scope="module")
def sinusoid():
    config = program._config("sinusoid")
    return config, build_source(config, None, "")


def test_drawing_is_a_share_of_the_iterations(sinusoid, monkeypatch):
    monkeypatch.setattr(Regressor, "compile_with_xla", False)
    share = program.drawing_share(*sinusoid, iterations=50)
    assert 0 < share < 1


def test_the_tasks_are_evaluated_in_batches_after_a_batch_to_compile(sinusoid, monkeypatch):
    seen = []

    def predict(learner, episodes, verbose):
        seen.append([len(episode.support_x) for _, episode in episodes])

    monkeypatch.setattr(MetaLearner, "predict", predict)
    assert program.tasks_per_second(*sinusoid, batch=5, tasks=20) > 0
    assert seen == [[5], [5, 5, 5, 5]]


def test_start_up_ends_with_the_first_iteration(tmp_path):
    assert program.start_up_seconds("sinusoid", None, str(tmp_path), starts=1) > 0


def test_a_program_that_fails_to_start_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"^first_iteration.*nowhere does not exist") as said:
        program.start_up_seconds("omniglot", str(tmp_path / "nowhere"), str(tmp_path))
    assert "\n" not in str(said.value)
