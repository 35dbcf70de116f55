"""What a newcomer gives instead of spans of iterations is one line."""

import contextlib

import pytest
import tensorflow as tf

from data_generators import Episode
from maml_tnet import MetaLearner, Regressor, losses
from maml_tnet.spans import checked_span, checked_spans, spans_refused_in_words

SPAN = r"a span \(start, stop\) must have 0 <= start <= stop <= 2147483647"


@pytest.mark.parametrize("data", [(1, 2, 3, 4), ([0, 5], [5, 10]), (0.0, 5.0), {"start": 0}])
def test_what_is_no_span_of_iterations_is_named(data):
    data = tf.nest.map_structure(tf.constant, data)
    with pytest.raises(ValueError, match=r"fit takes a dataset of spans \(start, stop\), two whol"):
        checked_span(data)


def test_a_span_is_of_int32():
    span = checked_span((tf.constant(3, tf.int64), tf.constant(7, tf.int64)))
    assert [(int(part), part.dtype) for part in span] == [(3, tf.int32), (7, tf.int32)]


def test_a_span_that_ends_before_it_begins_is_of_no_iteration():
    assert [int(part) for part in checked_span((tf.constant(5), tf.constant(2)))] == [5, 5]


def one_device():
    return tf.distribute.OneDeviceStrategy("/cpu:0").scope()


def draw(iteration):
    x = tf.random.stateless_uniform([2, 3, 1], tf.stack([iteration, 0]))
    return Episode(x, 2 * x, x, 2 * x)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("span", [(3, 2**31 - 1), (3, 3)])
def test_a_dataset_of_spans_is_of_int32(dtype, span):
    given = tf.data.Dataset.from_tensors(tuple(tf.constant(n, dtype) for n in span))
    (found,) = checked_spans(given)
    assert [(int(part), part.dtype) for part in found] == [(n, tf.int32) for n in span]
    assert checked_spans(7) == 7


@pytest.mark.parametrize("span", [(5, 2), (-5, -2), (-1, 2), (2**31, 2**31 + 2), (0, 2**32)])
def test_spans_that_are_reversed_or_of_no_iterations_numbers_are_refused(span):
    spans = tf.data.Dataset.from_tensors(tuple(tf.constant(n, tf.int64) for n in span))
    with (
        pytest.raises(ValueError, match=rf"^{SPAN}, got \({span[0]}, {span[1]}\)$"),
        spans_refused_in_words(),
    ):
        list(checked_spans(spans))


@pytest.mark.parametrize("scope", [contextlib.nullcontext, one_device])
def test_fit_refuses_a_span_in_one_line(scope):
    with scope():
        made = MetaLearner(
            Regressor(dim_hidden=2), sample_episode=draw, update_lr=0.1, num_updates=1
        )
        made.compile(loss=losses.squared_error)
    spans = tf.data.Dataset.from_tensor_slices(([0, 5], [1, 2]))
    with pytest.raises(ValueError, match=rf"^{SPAN}, got \(5, 2\)$"):
        made.fit(spans, verbose=0)
