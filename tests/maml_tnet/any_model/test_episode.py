import numpy as np
import pytest

from maml_tnet.any_model.episode import ModelEpisode, class_episodes, model_episode

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


def test_too_few_classes():
    with pytest.raises(ValueError, match=r"way=3 needs.*shot \+ query = 5.*got 2"):
        class_episodes(X, LABELS, way=3, shot=4, query=1, tasks=1)
    with pytest.raises(ValueError, match="23 examples have 22 labels"):
        class_episodes(X, LABELS[1:], way=3, shot=1, query=1, tasks=1)


def test_dicts_and_tuples_are_episodes():
    by_name = {"support_x": 1, "support_y": 2, "query_x": 3, "query_weight": 5}
    assert model_episode(by_name) == ModelEpisode(1, 2, 3, None, None, 5)
    assert model_episode((1, 2, 3, 4)) == ModelEpisode(1, 2, 3, 4)
    for wrong in ({"x": 1, "y": 2, "z": 3}, (1, 2), 7):
        with pytest.raises(ValueError, match="an episode must be a dict or tuple of support_x"):
            model_episode(wrong)
