import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from maml_tnet.arguments import (
    check_dataset,
    check_function,
    check_training_data,
    finite_number,
    true_or_false,
    whole_number,
)


def test_numbers_of_numpy_are_numbers():
    assert whole_number("n", np.int64(3), least=1) == 3
    assert finite_number("a", np.float32(0.5), least=0) == 0.5
    assert finite_number("a", -2) == -2.0


@pytest.mark.parametrize("value", [0, 1.5, 2.0, "1", None, True, np.float64(2)])
def test_what_is_no_number_of_things_is_refused(value):
    with pytest.raises(ValueError, match=r"^steps must be a whole number of at least 1, got "):
        whole_number("steps", value, least=1)


def test_a_whole_number_is_an_int32():
    with pytest.raises(ValueError, match=r"^seed must be at most 2147483647, got 2147483648$"):
        whole_number("seed", 2**31, least=0)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 10**400, -1e300, "0.1", None, True, -0.1]
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match=r"^alpha must be a finite number of at least 0, got "):
        finite_number("alpha", value, least=0)
    with pytest.raises(ValueError, match=r"^alpha must be a finite number above 0, got 0$"):
        finite_number("alpha", 0, above=0)


@pytest.mark.parametrize("value", ["False", "no", None, 1, 0.0])
def test_what_is_neither_true_nor_false_is_refused(value):
    assert [true_or_false("a", given) for given in (True, np.bool_(False))] == [True, False]
    with pytest.raises(ValueError, match=r"^first_order must be True or False, got "):
        true_or_false("first_order", value)


def test_a_function_must_take_what_it_is_called_with():
    for function in (lambda i: i, lambda i, j=0: i, functools.partial(max, 1), tf.identity):
        check_function("draw", function, "a number")
    for wrong, why in (
        (3, ", got a int"),
        (lambda: 0, " alone: too many positional arguments"),
        (lambda i, j: 0, " alone: missing a required argument: 'j'"),
    ):
        with pytest.raises(ValueError, match=f"^draw must be a function of a number{why}$"):
            check_function("draw", wrong, "a number")


def test_an_empty_dataset_is_refused():
    some = tf.data.Dataset.range(3)
    for wrong, options in ((some.take(0), {}), (some, {"validation_data": some.skip(3)})):
        with pytest.raises(ValueError, match="takes a dataset with something in it, got an empty"):
            check_training_data(wrong, options, "fit")
    check_training_data(some, {"validation_data": some}, "fit")
    check_training_data(some.filter(lambda i: i > 9), {}, "fit")  # which nobody knows beforehand


def test_a_dataset_without_an_end_needs_a_number_of_steps():
    endless = tf.data.Dataset.range(3).repeat()
    with pytest.raises(ValueError, match="fit would never end on an endless dataset: give steps,"):
        check_dataset(endless, None, "fit", "steps")
    check_dataset(endless, 5, "fit", "steps")
    check_dataset(endless.take(5), None, "fit", "steps")
    check_dataset([1, 2], None, "fit", "steps")

    class Batches(keras.utils.Sequence):
        num_batches = None

    if hasattr(keras.utils, "PyDataset"):  # Keras 2 has none without an end
        with pytest.raises(ValueError, match="fit would never end"):
            check_dataset(Batches(), None, "fit", "steps")
        check_dataset(Batches(), 5, "fit", "steps")
    with pytest.raises(ValueError, match="fit takes a dataset, got None"):
        check_dataset(None, None, "fit", "steps")
