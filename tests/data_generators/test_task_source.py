"""What every data generator offers, asked of each."""

import numpy as np
import pytest
import tensorflow as tf

from data_generators import DataError, ImageInput, Omniglot, Polynomial, Sinusoid
from data_generators.images.episodes import ImageEpisodes

WAY = 3


def drawings():
    images = np.random.RandomState(0).randint(0, 256, (1300, 20, 28, 28), np.uint8)
    return Omniglot([f"{i:04}" for i in range(1300)], images, WAY)


def photographs(channels=3, way=WAY, **options):
    pixels = np.random.RandomState(0).randint(0, 256, (90, 16, 16, channels), np.uint8)
    rows = {f"class{i}": np.arange(6 * i, 6 * i + 6) for i in range(15)}
    splits = {
        split: {name: rows[name] for name in list(rows)[5 * i : 5 * i + 5]}
        for i, split in enumerate(("train", "val", "test"))
    }
    return ImageEpisodes("images", splits, pixels, way, **options)


SOURCES = {
    "sinusoid": Sinusoid,
    "oracle": lambda: Sinusoid(oracle=True),
    "polynomial": lambda: Polynomial(2),
    "omniglot": drawings,
    "images": photographs,
    "grey images": lambda: photographs(channels=1),
}


@pytest.fixture(scope="module", params=SOURCES)
def source(request):
    return SOURCES[request.param]()


def of_an_iteration(source, split, tasks, **sizes):
    return source.episodes(split, 0, 5, tasks=tasks, **sizes)


def of_numbers(source, split, tasks, **sizes):
    return source.held_out(split, np.arange(tasks), **sizes)


@pytest.mark.parametrize("draw", [of_an_iteration, of_numbers])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_tasks_have_the_shapes_and_targets_that_are_promised(source, split, draw):
    source.check(split, shot=2, query=3)
    episode = draw(source, split, 4, shot=2, query=3)
    groups = WAY if source.is_classification else 1
    assert episode.support_x.shape == (4, 2 * groups, *source.input_shape)
    assert episode.query_x.shape == (4, 3 * groups, *source.input_shape)
    assert episode.support_y.shape == (4, 2 * groups, source.output_size)
    assert episode.query_y.shape == (4, 3 * groups, source.output_size)
    if source.is_classification:
        for y, count in ((episode.support_y, 2), (episode.query_y, 3)):
            assert np.all(np.isin(y, [0, 1]))
            np.testing.assert_array_equal(np.sum(y, axis=1), np.full([4, WAY], count))


@pytest.mark.parametrize("draw", [of_an_iteration, of_numbers])
def test_too_many_examples_of_a_class_are_refused_by_check_as_by_the_draw(source, draw):
    sizes = {"shot": 15, "query": 6}
    if not source.is_classification:  # a function has any number of points
        source.check("val", **sizes)
        assert draw(source, "val", 1, **sizes).query_x.shape[1] == 6
        return
    with pytest.raises(DataError) as checked:
        source.check("val", **sizes)
    with pytest.raises(DataError) as drawn:
        draw(source, "val", 1, **sizes)
    assert str(checked.value) == str(drawn.value)


@pytest.mark.parametrize("split", ["Train", "valid", "", None])
def test_a_split_that_is_none_is_refused_wherever_it_is_named(source, split):
    sizes = {"shot": 1, "query": 1}
    calls = [
        lambda: source.check(split, **sizes),
        lambda: source.episodes(split, 0, 0, tasks=1, **sizes),
        lambda: source.held_out(split, np.arange(2), **sizes),
    ]
    if source.is_classification:
        calls.append(lambda: source.class_ids(split))
    for call in calls:
        with pytest.raises(ValueError, match=rf"split must be one of train, .*, got {split!r}$"):
            call()


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None, np.float32(1)])
@pytest.mark.parametrize("name", ["tasks", "shot", "query"])
def test_numbers_of_things_that_no_episode_has_are_refused(source, name, value):
    sizes = {"tasks": 1, "shot": 1, "query": 1, name: value}
    message = rf"^{name} must be a whole number of at least [01], got "
    with pytest.raises(ValueError, match=message):
        source.episodes("val", 0, 0, **sizes)
    sizes.pop("tasks")
    if name != "tasks":
        for call in (source.check, lambda split, **n: source.held_out(split, np.arange(2), **n)):
            with pytest.raises(ValueError, match=message):
                call("val", **sizes)


@pytest.mark.parametrize("number", [1.5, 1.0, True, None, "1", np.float32(1), 2**32, 2**70])
def test_numbers_by_which_tasks_are_drawn_are_whole_and_not_wrapped(source, number):
    sizes = {"shot": 1, "query": 1}
    with pytest.raises(ValueError, match=r"^iteration must be a whole number within int32, got "):
        source.episodes("val", 0, number, tasks=1, **sizes)
    with pytest.raises(ValueError, match=r"^each of the tasks' numbers must be a whole number"):
        source.held_out("val", [number], **sizes)
    if not isinstance(number, int) or number is True:  # a seed may be of any size
        with pytest.raises(ValueError, match=r"^seed must be a whole number, got "):
            source.episodes("val", number, 0, tasks=1, **sizes)


def test_whole_numbers_of_any_type_draw_the_same(source):
    sizes = {"shot": 1, "query": 1}
    expected = source.episodes("val", 2, 3, tasks=1, **sizes).query_x
    for number in (np.int64(3), np.uint8(3), tf.constant(3, tf.int64), tf.Variable(3)):
        same = source.episodes("val", np.int32(2), number, tasks=np.int64(1), **sizes).query_x
        np.testing.assert_array_equal(same, expected)
    expected = source.held_out("val", np.array([3, 5], np.int64), **sizes).query_x
    for numbers in ([3, 5], tf.constant([3, 5]), np.array([3, 5], np.uint8)):
        np.testing.assert_array_equal(source.held_out("val", numbers, **sizes).query_x, expected)
    for numbers in (3, np.arange(0)):
        with pytest.raises(ValueError, match=r"^numbers must be \[tasks\], got shape "):
            source.held_out("val", numbers, **sizes)


@pytest.mark.parametrize("value", ["3", 3.0, None, [3], True])
@pytest.mark.parametrize("name", ["--num_classes", "--num_train_classes"])
def test_numbers_of_classes_that_are_not_whole_are_refused(name, value):
    number = {"--num_classes": {"way": value}, "--num_train_classes": {"num_train_classes": value}}
    with pytest.raises(DataError, match=f"^{name} must be between 1 and "):
        photographs(**number[name])


def test_sources_of_images_record_their_classes_and_numbers_have_none(source):
    record = source.data_record
    if not source.is_classification:
        assert record is None
        return
    assert list(record.classes) == ["train", "val", "test"]
    for split, classes in record.classes.items():
        assert list(classes) == [source.class_names[i] for i in source.class_ids(split)]
        images = 20 if isinstance(source, Omniglot) else 6
        assert {found.images for found in classes.values()} == {images}
        # Of noise, no class is like another.
        assert len({found.digest for found in classes.values()}) == len(classes)


def test_sources_of_images_say_how_a_file_becomes_an_input(source):
    if not source.is_classification:
        assert source.image_input is None
        return
    side, _, channels = source.input_shape
    drawn = isinstance(source, Omniglot)
    assert source.image_input == ImageInput(side, grey=channels == 1, ink_is_one=drawn)
