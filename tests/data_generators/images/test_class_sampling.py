"""Which classes and images make an episode."""

import numpy as np
import pytest
from scipy import stats

from data_generators import DataError
from data_generators.images.class_sampling import check_classes, held_out_classes, sample_classes

SIZES = np.array([4, 9, 5, 20, 7, 4, 6])


def draw(iteration=0, tasks=500, way=3, per_class=4):
    sample = sample_classes(99, iteration, SIZES, tasks=tasks, way=way, per_class=per_class)
    return [np.asarray(field) for field in sample]


def test_every_shot_holds_one_example_of_every_class():
    labels, *_ = draw()
    shots = labels.reshape(500, 4, 3)
    np.testing.assert_array_equal(np.sort(shots), np.broadcast_to(np.arange(3), shots.shape))


def test_the_class_order_within_a_shot_is_a_uniform_permutation():
    labels, *_ = draw()
    _, counts = np.unique(labels.reshape(-1, 3), axis=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_labels_stand_for_distinct_classes_each_drawn_equally_often():
    labels, classes, *_ = draw()
    chosen = []
    for task in range(500):
        pairs = set(zip(labels[task], classes[task], strict=True))
        assert len(pairs) == 3
        chosen += [c for _, c in pairs]
        assert len({c for _, c in pairs}) == 3
    assert stats.chisquare(np.bincount(chosen, minlength=len(SIZES))).pvalue > 1e-3


def test_labels_say_nothing_about_the_class():
    labels, classes, *_ = draw()
    assert stats.chisquare(np.bincount(labels[classes == 3], minlength=3)).pvalue > 1e-3


def test_images_of_a_class_are_distinct_and_within_its_own_number():
    _, classes, images, _ = draw()
    assert (images < SIZES[classes]).all()
    for task in range(500):
        places = list(zip(classes[task], images[task], strict=True))
        assert len(set(places)) == len(places)


def test_every_image_of_a_class_is_drawn_equally_often():
    _, classes, images, _ = draw(tasks=2000)
    for label, size in enumerate(SIZES):
        counts = np.bincount(images[classes == label], minlength=size)
        assert len(counts) == size
        assert (counts > 0).all()
        # Without replacement counts vary less than chi-square's, so high p-values are fine.
        assert stats.chisquare(counts).pvalue > 1e-3


def test_turns_belong_to_the_class_and_are_uniform():
    labels, _, _, turns = draw()
    per_class = [{*turns[task][labels[task] == c]} for task in range(500) for c in range(3)]
    assert all(len(values) == 1 for values in per_class)
    assert stats.chisquare(np.bincount([v for s in per_class for v in s])).pvalue > 1e-3


def test_iterations_draw_differently():
    assert any((a != b).any() for a, b in zip(draw(0), draw(1), strict=True))


def test_all_classes_and_all_images_can_be_asked_for():
    _, classes, images, _ = draw(tasks=3, way=len(SIZES))
    assert (np.sort(classes.reshape(3, 4, -1)) == np.arange(len(SIZES))).all()
    for task in range(3):
        assert set(images[task][classes[task] == 0]) == {0, 1, 2, 3}


def test_training_samples_are_those_of_earlier_versions():
    """As version 0.1.0 drew them; runs that it began go on with these."""
    stored = [
        [[1, 0, 2, 2, 0, 1], [1, 0, 2, 2, 1, 0]],
        [[3, 4, 2, 2, 4, 3], [5, 0, 2, 2, 5, 0]],
        [[2, 3, 4, 0, 1, 18], [2, 0, 4, 1, 0, 2]],
        [[1, 2, 1, 1, 2, 1], [3, 0, 2, 2, 3, 0]],
    ]
    for field, expected in zip(draw(tasks=2, per_class=2), stored, strict=True):
        np.testing.assert_array_equal(field, expected)


def held_out(numbers=range(300), split="test", way=3, shot=1, query=1):
    sample = held_out_classes(
        "source", split, np.array(numbers), SIZES, way=way, shot=shot, query=query
    )
    return [np.asarray(field) for field in sample]


def test_a_held_out_task_is_the_same_in_any_batch():
    for numbers in ([3], [19, 0, 3], [7, 7]):
        for all_tasks, some in zip(held_out(), held_out(numbers), strict=True):
            np.testing.assert_array_equal(all_tasks[numbers], some)


@pytest.mark.parametrize(
    ("shot", "query", "start"), [(3, 1, "support"), (1, 3, "query"), (2, 2, "both")]
)
def test_a_held_out_task_keeps_classes_and_first_examples(shot, query, start):
    few, many = held_out(), held_out(shot=shot, query=query)
    for one, more in zip(few, many, strict=True):
        np.testing.assert_array_equal(one[:, :3], more[:, :3])
        np.testing.assert_array_equal(one[:, 3:], more[:, 3 * shot : 3 * shot + 3])


def test_held_out_support_and_queries_are_distinct_images():
    _, classes, images, _ = held_out(shot=2, query=2)  # all images of the smallest classes
    assert (images < SIZES[classes]).all()
    for task in range(300):
        assert len(set(zip(classes[task], images[task], strict=True))) == 12


@pytest.mark.parametrize("part", [slice(0, 3), slice(3, 6)], ids=["support", "query"])
def test_held_out_tasks_draw_classes_orders_and_images_equally_often(part):
    labels, classes, images, turns = (x[:, part] for x in held_out(range(2000)))
    _, orders = np.unique(labels, axis=0, return_counts=True)
    assert len(orders) == 6
    counts = [orders, np.bincount(turns.ravel()), np.bincount(classes.ravel())]
    counts += [np.bincount(images[classes == c], minlength=size) for c, size in enumerate(SIZES)]
    assert [len(count) for count in counts] == [6, 4, len(SIZES), *SIZES]
    assert all(stats.chisquare(count).pvalue > 1e-3 for count in counts)


def test_held_out_splits_differ():
    for a, b in zip(held_out(), held_out(split="val"), strict=True):
        assert np.mean(a == b) < 0.5


@pytest.mark.parametrize("way", [0, 8])
def test_a_way_that_the_split_does_not_have_is_refused(way):
    names = list("abcdefg")
    expected = f"--num_classes must be between 1 and 7, the classes of the val split, got {way}"
    with pytest.raises(DataError, match=expected):
        check_classes("val", names, SIZES, way=way, shot=1, query=1)


def test_the_class_with_too_few_images_is_named():
    names = list("abcdefg")
    check_classes("val", names, SIZES, way=7, shot=2, query=2)
    expected = r"--update_batch_size=2 with 3 query .* 5 images .* a of the val split has 4"
    with pytest.raises(DataError, match=expected):
        check_classes("val", names, SIZES, way=7, shot=2, query=3)
