"""Which losses a learner of a Keras model takes, and what they come to."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from maml_tnet import losses
from maml_tnet.any_model.loss import model_loss

TARGETS = np.array([[0.0], [1.0], [3.0]], np.float32)
OUTPUTS = np.array([[1.0], [1.0], [1.0]], np.float32)


def value(loss, targets=TARGETS, outputs=OUTPUTS, weights=None, support_size=3):
    parts = [
        None if part is None else tf.nest.map_structure(tf.constant, part)
        for part in (targets, outputs, weights)
    ]
    return float(loss(*parts, support_size))


def test_a_weight_of_one_loss_multiplies_it():
    assert value(model_loss("mse", 2.0)) == pytest.approx(2 * 5 / 3)
    with pytest.raises(ValueError, match=r"loss_weights of one loss must be a finite number, got"):
        model_loss("mse", [1.0, 2.0])


def test_every_loss_of_this_package_is_taken():
    rows = np.eye(3, dtype=np.float32)
    logits = np.array([[2.0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    errors = np.log(np.exp(logits).sum(-1)) - (rows * logits).sum(-1)
    assert value(model_loss(losses.class_mean_cross_entropy), rows, logits) == pytest.approx(
        errors.mean(), rel=1e-6
    )
    assert value(model_loss(losses.cross_entropy), rows, logits) == pytest.approx(
        errors.sum(), rel=1e-6
    )
    assert value(model_loss(losses.squared_error)) == pytest.approx(5 / 3)


@pytest.mark.parametrize("loss", [["mse", "mse"], {"other": "mse"}, ["mse", None]])
def test_losses_of_outputs_that_a_model_does_not_have(loss):
    with pytest.raises(ValueError, match=r"of the model's outputs, of which there are 1: own"):
        value(model_loss(loss, output_names=("own",)))


def test_a_loss_of_the_only_output_may_name_it():
    for loss in (["mse"], {"own": "mse"}):
        assert value(model_loss(loss, output_names=("own",))) == pytest.approx(5 / 3)


def test_several_outputs_have_a_loss_and_a_weight_each():
    both = (TARGETS, 2 * TARGETS), (OUTPUTS, OUTPUTS)
    loss = model_loss(["mse", "mae"], [0.5, 3.0], output_names=("a", "b"))
    assert value(loss, *both) == pytest.approx(0.5 * 5 / 3 + 3 * (1 + 1 + 5) / 3)
    named = model_loss({"b": "mae"}, {"b": 3.0}, output_names=("a", "b"))
    assert value(named, *both) == pytest.approx(3 * (1 + 1 + 5) / 3)


def test_one_loss_is_that_of_each_output():
    both = (TARGETS, 2 * TARGETS), (OUTPUTS, OUTPUTS)
    assert value(model_loss("mse"), *both) == value(model_loss(["mse", "mse"]), *both)
    assert value(model_loss("mse", 0.5), *both) == pytest.approx(
        value(model_loss("mse"), *both) / 2
    )
    named = [{"a": part[0], "b": np.tile(part[1], [1, 2])} for part in both]
    assert value(model_loss("mse"), *named) == value(model_loss("mse"), *both)
    weights = np.array([1.0, 0.0, 2.0], np.float32)
    each = sum(value(model_loss("mse"), *parts, weights) for parts in zip(*both, strict=True))
    assert value(model_loss("mse"), *both, weights) == pytest.approx(each)
    for wrong in (TARGETS, (TARGETS,), named[0]):
        with pytest.raises(ValueError, match="has 2 outputs, for each of which there must be targ"):
            value(model_loss("mse"), wrong, both[1])


@pytest.mark.parametrize(
    ("loss", "weights"),
    [(["mse", "mse"], [1.0]), (["mse"], {"a": 1.0}), ({"a": "mse"}, {"b": 1.0}), (["mse"], 2.0)],
)
def test_weights_are_of_the_same_outputs_as_losses(loss, weights):
    with pytest.raises(ValueError, match="loss_weights "):
        model_loss(loss, weights)


@pytest.mark.parametrize("loss", [None, [], {}, [None]])
def test_without_a_loss_there_is_nothing_to_compile(loss):
    with pytest.raises(ValueError, match='compile with a loss, such as loss="mse"'):
        model_loss(loss)


def test_a_loss_must_be_one_number():
    with pytest.raises(ValueError, match="must be reduced to a number, got reduction=None"):
        model_loss(keras.losses.MeanSquaredError(reduction=None))


def test_the_papers_losses_take_targets_as_keras_does():
    assert value(model_loss(losses.squared_error), TARGETS[:, 0]) == pytest.approx(5 / 3)
    rows, numbers = np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    for loss in (losses.cross_entropy, losses.class_mean_cross_entropy):
        for targets in (numbers, numbers[:, np.newaxis]):
            with pytest.raises(ValueError, match=r"takes one-hot targets, no numbers of classes,"):
                value(model_loss(loss), targets, rows)
    with pytest.raises(ValueError, match=r"squared_error takes targets of the outputs' shape"):
        value(model_loss(losses.squared_error), np.ones([3, 2]), OUTPUTS)


def test_the_papers_losses_have_no_sample_weights():
    loss = model_loss(losses.squared_error)
    assert value(loss, weights=np.ones(3)) == pytest.approx(5 / 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="squared_error takes no sample weig"):
        value(loss, weights=np.array([1.0, 0.5, 1.0]))


def in_branch(function):
    return lambda y, p: tf.cond(
        tf.reduce_sum(y) > 0, lambda: function(y, p), lambda: 2 * function(y, p)
    )


def in_loop(function):
    def looped(y, p):
        rows = tf.map_fn(
            lambda row: function(*(part[tf.newaxis] for part in row)),
            (y, p),
            fn_output_signature=tf.TensorSpec([1]),
        )
        return rows[:, 0]

    return looped


def traced(function, **options):
    loss = model_loss(function, 2.0, **options)
    compute = tf.function(lambda y, p: loss(y, p, None, 3))
    return compute.get_concrete_function(*[tf.TensorSpec([None, 3])] * 2)


@pytest.mark.parametrize(
    "inside",
    [
        lambda function: function,
        tf.function,
        in_branch,
        in_loop,
        lambda function: tf.function(in_branch(tf.function(function))),
    ],
    ids=["graph", "function", "branch", "loop", "nested"],
)
def test_a_loss_without_right_second_derivatives_is_refused_where_it_is_traced(inside):
    def of_errors(y, p):
        return tf.nn.moments(y - p, [-1])[1]

    def of_targets(y, p):
        return tf.nn.moments(y, [-1])[1] + tf.reduce_sum(p, -1)

    with pytest.raises(
        ValueError, match=r"tf\.nn\.moments\) has no right second derivative .* loss"
    ):
        traced(inside(of_errors))
    traced(inside(of_errors), first_order=True)
    if inside is not in_loop:  # of what a loop carries all is taken to depend
        traced(inside(of_targets))


def test_moments_are_found_whatever_they_are_called():
    with pytest.raises(ValueError, match=r"errors/StopGradient \(tf\.nn\.moments\) has no right"):
        traced(lambda y, p: tf.nn.moments(y - p, [-1], name="errors")[1])
    traced(lambda y, p: tf.math.squared_difference(p, tf.stop_gradient(p + y))[:, 0])


def test_a_function_without_a_name_is_a_loss():
    assert value(model_loss(lambda y, p: tf.reduce_mean((y - p) ** 2, -1))) == pytest.approx(5 / 3)


@pytest.mark.parametrize("loss", [lambda: keras.losses.CTC(), lambda: "CTC", lambda: "ctc"])
def test_ctc_is_refused_by_name(loss):
    with pytest.raises(ValueError, match=r"^the loss CTC has no .* take first_order=True$"):
        model_loss(loss())
    logits = np.zeros([1, 6, 4], np.float32)
    found = value(model_loss(loss(), first_order=True), np.array([[1, 2]]), logits)
    assert np.isfinite(found)


def ctc_of_dense_labels(y, p):
    rows = tf.shape(p)[0]
    lengths = [tf.fill([rows], tf.shape(part)[1]) for part in (y, p)]
    return tf.nn.ctc_loss(tf.cast(y, tf.int32), p, *lengths, logits_time_major=False)


@pytest.mark.parametrize("inside", [lambda f: f, in_branch], ids=["graph", "branch"])
def test_ctc_of_dense_labels_is_refused_where_it_is_traced(inside):
    """It is no operation of its own, but made of loops."""
    specs = tf.TensorSpec([None, 2]), tf.TensorSpec([None, 6, 4])

    def compute(**options):
        loss = model_loss(inside(ctc_of_dense_labels), **options)
        return tf.function(lambda y, p: loss(y, p, None, 3)).get_concrete_function(*specs)

    with pytest.raises(ValueError, match=r" \(tf\.nn\.ctc_loss\) has no right second .*=True$"):
        compute()
    logits = tf.constant(np.random.default_rng(0).normal(size=[3, 6, 4]), tf.float32)
    labels = tf.constant([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])
    found = compute(first_order=True)(labels, logits)
    np.testing.assert_allclose(found, np.mean(ctc_of_dense_labels(labels, logits)), rtol=1e-5)
