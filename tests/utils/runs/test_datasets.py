import numpy as np
import pytest
import tensorflow as tf

from data_generators import Sinusoid
from utils.runs.datasets import held_out_episodes, training_spans


def test_training_spans_are_pairs_in_their_order():
    spans = [(0, 10), (10, 10), (10, 25)]
    assert [(int(start), int(stop)) for start, stop in training_spans(spans)] == spans


@pytest.mark.parametrize(
    "dataset",
    [
        lambda: training_spans([(0, 1)]),
        lambda: held_out_episodes(Sinusoid(), "val", tasks=1, batch=1, shot=1, query=1),
    ],
    ids=["spans", "episodes"],
)
def test_no_iterator_waits_for_a_tuner(dataset):
    assert dataset().options().autotune.enabled is False


def test_held_out_tasks_are_numbered_and_enough():
    source = Sinusoid()
    sizes = {"shot": 5, "query": 7}
    drawn = list(held_out_episodes(source, "test", tasks=50, batch=20, **sizes))
    assert [numbers.numpy().tolist() for numbers, _ in drawn] == [
        list(range(20)), list(range(20, 40)), list(range(40, 60)),
    ]  # fmt: skip
    for numbers, episode in drawn:
        assert numbers.dtype == tf.int32
        expected = source.held_out("test", numbers, **sizes)
        np.testing.assert_array_equal(episode.query_y, expected.query_y)


def test_held_out_tasks_may_begin_later():
    sizes = {"batch": 20, "shot": 5, "query": 7}
    whole = list(held_out_episodes(Sinusoid(), "test", tasks=60, **sizes))
    drawn = list(held_out_episodes(Sinusoid(), "test", tasks=21, first=20, **sizes))
    for (numbers, episode), (same, expected) in zip(drawn, whole[1:], strict=True):
        np.testing.assert_array_equal(numbers, same)
        np.testing.assert_array_equal(episode.query_y, expected.query_y)


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_held_out_tasks_do_not_depend_on_the_batch(batch):
    sizes = {"tasks": 40, "shot": 5, "query": 5}

    def drawn(batch):
        parts = held_out_episodes(Sinusoid(), "val", batch=batch, **sizes)
        return np.concatenate([episode.query_y for _, episode in parts])[:40]

    np.testing.assert_allclose(drawn(batch), drawn(20), rtol=1e-5, atol=1e-7)


def test_held_out_batches_have_a_known_number_of_tasks():
    """Without it the networks could not be compiled."""
    dataset = held_out_episodes(Sinusoid(), "val", tasks=40, batch=20, shot=5, query=5)
    numbers, episode = dataset.element_spec
    assert numbers.shape == [20]
    assert episode.support_x.shape == [20, 5, 1]
