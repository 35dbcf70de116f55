import warnings

import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.any_model.episode import (
    ModelEpisode,
    class_episodes,
    model_episode,
    real_examples,
    tensors,
)

SIZES = [3, 4, 9, 5, 2]
LABELS = np.repeat(["a", "b", "c", "d", "e"], SIZES)
X = np.stack([np.arange(len(LABELS)), np.searchsorted(["a", "b", "c", "d", "e"], LABELS)], axis=1)


def drawn(count, **options):
    given = {"way": 3, "shot": 2, "query": 1, "tasks": 4, **options}
    return [
        {name: part.numpy() for name, part in e.items()}
        for e in class_episodes(X, LABELS, **given).take(count)
    ]


def test_tasks_of_classes():
    seen = set()
    for episode in drawn(30):
        x = np.concatenate([episode["support_x"], episode["query_x"]], axis=1)
        y = np.concatenate([episode["support_y"], episode["query_y"]], axis=1)
        assert x.shape == (4, 9, 2)
        np.testing.assert_array_equal(y, [[0, 0, 1, 1, 2, 2, 0, 1, 2]] * 4)
        for numbers, classes, labels in zip(x[..., 0], x[..., 1], y, strict=True):
            assert len(set(numbers)) == 9  # no example twice
            assert len({*zip(classes, labels, strict=True)}) == 3  # a label is a class
        seen |= set(x[..., 0].ravel())
    # Class e has too few examples.
    assert seen == set(range(sum(SIZES[:4])))


def test_an_episode_is_a_function_of_its_number():
    one, other = drawn(6), drawn(6, seed=1)
    skipped = next(iter(class_episodes(X, LABELS, way=3, shot=2, query=1, tasks=4).skip(5).take(1)))
    np.testing.assert_array_equal(skipped["support_x"], one[5]["support_x"])
    assert np.any(other[5]["support_x"] != one[5]["support_x"])
    assert np.any(one[4]["support_x"] != one[5]["support_x"])


def test_classes_that_are_left_out_are_named_once_and_counted():
    labels = ["a"] * 3 + ["b"] * 20 + ["c"] * 17
    x = np.zeros([40, 1])
    message = r"^1 of 3 classes have .* = 4 examples .* out: 'a'$"
    with pytest.warns(UserWarning, match=message) as said:
        list(class_episodes(x, labels, way=2, shot=2, query=2, tasks=1).take(2))
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        class_episodes(x, labels, way=3, shot=1, query=2, tasks=1)
    labels = [*range(30), *[30] * 5, *[31] * 5]
    with pytest.warns(UserWarning, match=r"^30 of 32 classes .* out: 0, 1, .*, 9, \.\.\.$"):
        class_episodes(x, labels, way=2, shot=1, query=1, tasks=1)


def test_too_few_classes():
    with pytest.raises(ValueError, match=r"way=3 needs.*shot \+ query = 5.*got 2"):
        class_episodes(X, LABELS, way=3, shot=4, query=1, tasks=1)
    with pytest.raises(ValueError, match="23 examples have 22 labels"):
        class_episodes(X, LABELS[1:], way=3, shot=1, query=1, tasks=1)


@pytest.mark.parametrize("name", ["way", "shot", "query", "tasks"])
def test_numbers_that_no_episode_can_have(name):
    for value in (0, -1, 1.5):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got"):
            drawn(1, **{name: value})


X_OF_TASKS, Y_OF_TASKS, WEIGHTS = np.ones([2, 5, 3]), np.ones([2, 5]), np.ones([2, 5])


def test_dicts_and_tuples_are_episodes():
    x, y, weights = X_OF_TASKS, Y_OF_TASKS, WEIGHTS
    by_name = {"support_x": x, "support_y": y, "query_x": x, "query_weight": weights}
    assert model_episode(by_name) == ModelEpisode(x, y, x, None, None, weights)
    assert model_episode((x, y, x, y)) == ModelEpisode(x, y, x, y)
    without_y = {"support_x": x, "query_x": x, "query_y": y}
    for wrong in ({"x": x, "y": y, "z": x}, (x, y), 7, without_y):
        with pytest.raises(ValueError, match="an episode must be a dict or tuple of support_x"):
            model_episode(wrong)
    with pytest.raises(ValueError, match="an episode to train or to measure on must have query_y"):
        model_episode((x, y, x), answered=True)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"support_y": np.ones([2, 1])}, r"support_y must .* \(2, 5, 3\), got \(2, 1\)"),
        ({"support_y": np.ones([1, 5, 1])}, r"support_y must be \[tasks, examples, ...\] with"),
        ({"support_y": np.ones([2])}, r"support_y must .* got \(2,\)"),
        ({"query_y": {"a": np.ones([2, 5]), "b": np.ones([2, 4])}}, r"query_y .* got \(2, 4\)"),
        ({"support_weight": np.ones([2, 4])}, r"support_weight must .* got \(2, 4\)"),
        ({"support_y": np.full([2, 5], "a")}, "support_y must be numbers, got texts: give every"),
        ({"query_x": np.ones([2, 0, 3]), "query_y": np.ones([2, 0])}, "query_x has no examples"),
    ],
)
def test_parts_of_other_examples_are_named(parts, message):
    given = {"support_x": X_OF_TASKS, "support_y": Y_OF_TASKS, "query_x": X_OF_TASKS}
    with pytest.raises(ValueError, match=message):
        model_episode(given | parts)


def test_what_only_the_running_graph_knows_is_checked_there():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 1])] * 2)
    def in_a_graph(x, y):
        return model_episode((x, y, x)).support_y

    x = tf.ones([2, 5, 1])
    assert in_a_graph(x, x).shape == [2, 5, 1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many tasks and examples as supp"):
        in_a_graph(x, x[:, :1])
    for nothing in (x[:0], x[:, :0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="support_x has no examples"):
            in_a_graph(nothing, nothing)


def test_parts_that_are_no_arrays_are_named():
    ragged = tf.ragged.constant([[1.0], [1.0, 2.0]])
    with pytest.raises(
        ValueError, match=r"support_x must be an array .*, with a support_weight of"
    ):
        model_episode((ragged, Y_OF_TASKS, X_OF_TASKS))
    with pytest.raises(ValueError, match=r"support_y must be an array .* got a RaggedTensor"):
        model_episode((X_OF_TASKS, ragged, X_OF_TASKS))
    of_any_rank = tf.function(lambda x: model_episode((x, Y_OF_TASKS, X_OF_TASKS)))
    with pytest.raises(ValueError, match=r"support_x must be \[tasks, .* the number of axes"):
        of_any_rank.get_concrete_function(tf.TensorSpec(None))


def test_labels_are_classes():
    with pytest.raises(ValueError, match=r"labels must be \[number\], one for each example, got"):
        class_episodes(X, np.eye(len(X)), way=3, shot=1, query=1, tasks=1)
    labels = [float("nan"), *range(len(X) - 1)]
    with pytest.raises(ValueError, match=r"labels must be classes, but 1 of them are nan"):
        class_episodes(X, labels, way=3, shot=1, query=1, tasks=1)


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (X + 1j, LABELS, r"x must be numbers \[number, ...\], got complex128 of shape \(23, 2\)"),
        (X.astype(object), LABELS, "x must be numbers .* got object of shape"),
        (LABELS, LABELS, "x must be numbers .* got str32 of shape"),
        (7, LABELS, r"x must be numbers .* of shape \(\)"),
        ([[1.0], [1.0, 2.0]], [0, 1], "x must be an array: "),
        (X, 7, r"labels must be \[number\], one for each example, got \(\)"),
        (X, [[1], [1, 2]], "labels must be an array: "),
        (X, np.array([None, *"a" * 22], object), "labels must be of one type, got NoneType and s"),
        (X, [1, *"1" * 22], "labels must be of one type, got int and str"),
        (
            X,
            np.array([np.nan, *range(22)], object),
            "labels must be classes, but 1 of them are nan",
        ),
    ],
)
def test_what_is_no_labelled_examples_is_named(x, labels, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        class_episodes(x, labels, way=3, shot=1, query=1, tasks=1)


def test_bools_are_weights_and_lists_are_tensors():
    weights = np.array([[True] * 4 + [False]] * 2)
    found = model_episode((X_OF_TASKS, Y_OF_TASKS, X_OF_TASKS, Y_OF_TASKS, weights))
    np.testing.assert_array_equal(found.support_weight, [[1.0, 1.0, 1.0, 1.0, 0.0]] * 2)
    assert tensors([[1.0], [2.0]]).shape == [2, 1]
    nested = tensors({"a": [np.ones([2]), np.ones([3])], "b": [1, 2]})
    assert [part.shape for part in tf.nest.flatten(nested)] == [[2], [3], [2]]
    assert tensors(None) is None


def test_a_task_of_nothing_but_padding_is_refused():
    x = tf.constant([[1.0], [2.0]])
    np.testing.assert_array_equal(real_examples(tf.constant([0.0, 2.0]), x), [[2.0]])
    for run in (real_examples, tf.function(real_examples)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must have an example whose samp"):
            run(tf.zeros([2]), x)
