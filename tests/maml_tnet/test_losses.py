import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from tensorflow import keras

from maml_tnet.losses import (
    class_mean_cross_entropy,
    cross_entropy,
    squared_error,
    task_loss,
)


def test_squared_error_is_every_tasks_own_mean(rng):
    outputs, targets = rng.normal(size=[2, 6, 4, 3])
    loss = squared_error(tf.constant(outputs), tf.constant(targets), 6)
    expected = [np.mean((outputs[:, t] - targets[:, t]) ** 2) for t in range(4)]
    np.testing.assert_allclose(loss, expected)


def cross_entropies(logits, labels):
    return -np.sum(labels * scipy.special.log_softmax(logits, axis=-1), axis=-1)


def test_cross_entropy_on_the_support_is_way_times_the_mean(rng):
    for way, shot in ((5, 1), (5, 3), (20, 1)):
        logits = rng.normal(size=[way * shot, 4, way])
        labels = np.eye(way)[rng.integers(way, size=[way * shot, 4])]
        loss = cross_entropy(tf.constant(logits), tf.constant(labels), way * shot)
        np.testing.assert_allclose(loss, way * cross_entropies(logits, labels).mean(0))


def test_cross_entropy_of_queries_is_divided_by_the_support_shot(rng):
    way, shot, query = 5, 2, 15
    logits = rng.normal(size=[way * query, 4, way])
    labels = np.eye(way)[rng.integers(way, size=[way * query, 4])]
    loss = cross_entropy(tf.constant(logits), tf.constant(labels), tf.constant(way * shot))
    np.testing.assert_allclose(loss, cross_entropies(logits, labels).sum(0) / shot)


def test_accuracy_is_the_fraction_of_right_answers():
    logits = np.zeros([4, 2, 3], "float32")
    labels = np.zeros([4, 2, 3], "float32")
    for task, (guesses, truth) in enumerate(
        [([0, 1, 2, 0], [0, 1, 2, 1]), ([2] * 4, [0, 1, 0, 2])]
    ):
        for example, (guess, label) in enumerate(zip(guesses, truth, strict=True)):
            logits[example, task, guess] = 1.0
            labels[example, task, label] = 1.0
    accuracy = task_loss(cross_entropy).accuracy(tf.constant(logits), tf.constant(labels))
    np.testing.assert_array_equal(accuracy, [0.75, 0.25])


def test_the_papers_losses_are_taken_as_they_are():
    assert task_loss(squared_error) == (squared_error, False, False)
    assert task_loss(cross_entropy) == (cross_entropy, True, False)
    assert task_loss(class_mean_cross_entropy) == (class_mean_cross_entropy, True, False)


@pytest.mark.parametrize(("reduction", "reduce"), [(None, np.mean), ("sum", np.sum)])
def test_keras_loss_is_reduced_over_a_tasks_examples_as_it_says(rng, reduction, reduce):
    logits = rng.normal(size=[6, 4, 3])
    labels = np.eye(3)[rng.integers(3, size=[6, 4])]
    options = {} if reduction is None else {"reduction": reduction}
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, **options)
    values, classifies, takes_class_numbers = task_loss(loss)
    assert (classifies, takes_class_numbers) == (True, False)
    expected = reduce(cross_entropies(logits, labels), axis=0)
    np.testing.assert_allclose(values(tf.constant(logits), tf.constant(labels), 6), expected)


def test_keras_loss_by_name_is_the_mean_over_a_tasks_examples(rng):
    outputs, targets = rng.normal(size=[2, 6, 4, 3])
    values, classifies, _ = task_loss("mae")
    assert not classifies
    expected = np.abs(outputs - targets).mean((0, 2))
    np.testing.assert_allclose(values(tf.constant(outputs), tf.constant(targets), 6), expected)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("categorical_crossentropy", "takes probabilities, but networks give logits"),
        (keras.losses.CategoricalCrossentropy(), "takes probabilities, but networks give logits"),
        (keras.losses.MeanSquaredError(reduction="none"), "must be reduced to one number"),
        (None, "compile with a loss"),
    ],
)
def test_loss_that_cannot_be_a_tasks_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        task_loss(loss)


def test_class_mean_cross_entropy_does_not_depend_on_how_many_there_are(rng):
    logits = rng.normal(size=[7, 2, 4])
    labels = np.eye(4)[np.stack([[0, 0, 0, 1, 2, 2, 1], [3, 0, 3, 3, 3, 0, 0]], axis=1)]
    found = class_mean_cross_entropy(tf.constant(logits), tf.constant(labels), 99)
    errors = cross_entropies(logits, labels)
    for task, classes in enumerate([(0, 1, 2), (0, 3)]):  # those that have examples
        means = [errors[labels[:, task, c] == 1, task].mean() for c in classes]
        np.testing.assert_allclose(found[task], np.mean(means))


def test_alpha_of_the_papers_recipes_is_the_same_for_5_and_20_classes_in_the_class_mean(rng):
    for way, alpha in ((5, 0.4), (20, 0.1)):
        logits, labels = rng.normal(size=[way, 3, way]), np.tile(np.eye(way)[:, None], [1, 3, 1])
        arguments = tf.constant(logits), tf.constant(labels), way
        np.testing.assert_allclose(
            alpha * cross_entropy(*arguments), 2.0 * class_mean_cross_entropy(*arguments)
        )


@pytest.mark.parametrize("axes", [None, (0, 1), ()])
def test_a_loss_is_a_number_for_each_example(axes):
    values, *_ = task_loss(lambda y, p: tf.reduce_mean(tf.abs(y - p), axis=axes))
    with pytest.raises(ValueError, match="must give a number for every example of every task, of"):
        values(tf.ones([5, 2, 1]), tf.ones([5, 2, 1]), 5)
    values, *_ = task_loss(lambda y, p: tf.reduce_mean(tf.abs(y - p), axis=-1))
    np.testing.assert_array_equal(values(tf.ones([5, 2, 1]), tf.zeros([5, 2, 1]), 5), [1.0, 1.0])


def test_a_loss_without_right_second_derivatives_is_refused_where_it_is_traced():
    """The variance of `tf.nn.moments`, whose gradient holds the mean constant."""
    specs = [tf.TensorSpec([5, 2, 3])] * 2

    def traced(loss, **options):
        values, *_ = task_loss(loss, **options)
        return tf.function(lambda p, y: values(p, y, 5)).get_concrete_function(*specs)

    def of_errors(y, p):
        return tf.nn.moments(y - p, [-1])[1]

    with pytest.raises(
        ValueError, match=r"tf\.nn\.moments\) has no right second derivative .* loss"
    ):
        traced(of_errors)
    traced(of_errors, first_order=True)

    def ctc(y, p):  # of dense labels, with the tasks as frames
        lengths = tf.fill([5], 1), tf.fill([5], 2)
        labels = tf.argmax(y, -1, tf.int32)
        of_examples = tf.nn.ctc_loss(labels, p, *lengths, logits_time_major=False)
        return tf.tile(of_examples[:, tf.newaxis], [1, 2])

    with pytest.raises(ValueError, match=r"tf\.nn\.ctc_loss\) has no right second derivative "):
        traced(ctc)
    traced(ctc, first_order=True)
    traced(lambda y, p: tf.reduce_sum(p, -1) * tf.nn.moments(y, [-1])[1])  # of the targets alone
    traced("mse")


@pytest.mark.parametrize("loss", [squared_error, cross_entropy, class_mean_cross_entropy])
def test_the_papers_losses_are_found_again_in_keras_files(loss):
    stored = keras.utils.serialize_keras_object(loss)
    assert keras.utils.deserialize_keras_object(stored) is loss
