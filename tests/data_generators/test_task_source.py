"""What every data generator offers, asked of each."""

import numpy as np
import pytest

from data_generators import DataError, ImageInput, Omniglot, Polynomial, Sinusoid
from data_generators.images.episodes import ImageEpisodes

WAY = 3


def drawings():
    images = np.random.RandomState(0).randint(0, 256, (1300, 20, 28, 28), np.uint8)
    return Omniglot([f"{i:04}" for i in range(1300)], images, WAY)


def photographs(channels=3):
    pixels = np.random.RandomState(0).randint(0, 256, (90, 16, 16, channels), np.uint8)
    rows = {f"class{i}": np.arange(6 * i, 6 * i + 6) for i in range(15)}
    splits = {
        split: {name: rows[name] for name in list(rows)[5 * i : 5 * i + 5]}
        for i, split in enumerate(("train", "val", "test"))
    }
    return ImageEpisodes("images", splits, pixels, WAY)


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
