import numpy as np
import pytest

from data_generators import Sinusoid
from utils.runs.datasets import EVALUATION_SEED, held_out_episodes, training_spans


def test_training_spans_are_pairs_in_their_order():
    spans = [(0, 10), (10, 10), (10, 25)]
    assert [(int(start), int(stop)) for start, stop in training_spans(spans)] == spans


@pytest.mark.parametrize(
    "dataset",
    [
        training_spans([(0, 1)]),
        held_out_episodes(Sinusoid(), "val", tasks=1, batch=1, shot=1, query=1),
    ],
    ids=["spans", "episodes"],
)
def test_no_iterator_waits_for_a_tuner(dataset):
    assert dataset.options().autotune.enabled is False


def test_held_out_episodes_are_numbered_and_enough():
    source = Sinusoid()
    sizes = {"shot": 5, "query": 7}
    drawn = list(held_out_episodes(source, "test", tasks=50, batch=20, **sizes))
    assert [int(number) for number, _ in drawn] == [0, 1, 2]
    for number, episode in drawn:
        expected = source.episodes("test", EVALUATION_SEED, int(number), tasks=20, **sizes)
        np.testing.assert_array_equal(episode.query_y, expected.query_y)


def test_held_out_tasks_differ_between_splits_and_batches():
    sizes = {"tasks": 40, "batch": 20, "shot": 5, "query": 5}
    batches = [
        episode.support_x.numpy()
        for split in ("val", "test")
        for _, episode in held_out_episodes(Sinusoid(), split, **sizes)
    ]
    tasks = np.concatenate(batches).reshape(80, -1)
    assert len(np.unique(tasks, axis=0)) == 80
