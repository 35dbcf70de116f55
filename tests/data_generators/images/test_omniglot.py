"""Episodes of the real Omniglot, traced back to the drawings in its zips."""

import collections
import hashlib
import io
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

from data_generators import DataError, Omniglot
from data_generators.images.omniglot_files import load_drawings

SIZES = {"tasks": 6, "shot": 2, "query": 3}
WAY = 5
SPLITS_SHA256 = "c437656facad140244de13e43e2ed0ac2807f5171814db6dfb4f320a467185ee"


@pytest.fixture(scope="module")
def omniglot(omniglot_path, omniglot_cache):
    return Omniglot.load(str(omniglot_path), omniglot_cache, WAY)


@pytest.fixture(scope="module")
def drawings(omniglot_path, omniglot_cache):
    return load_drawings(str(omniglot_path), omniglot_cache)


@pytest.fixture(scope="module")
def origins(drawings):
    """Pixels of every drawing in every orientation -> all (character, drawing, turns) so drawn."""
    found = collections.defaultdict(set)
    for turns in range(4):
        turned = np.rot90(drawings.images, turns, axes=(2, 3))
        for character, images in enumerate(turned):
            for drawing, image in enumerate(images):
                found[image.tobytes()].add((character, drawing, turns))
    return found


def trace(origins, x):
    """Return for every task and example the set of (character, drawing, turns) it may show."""
    pixels = np.rint(np.asarray(x[..., 0]) * 255).astype(np.uint8)
    return [[origins[image.tobytes()] for image in task] for task in pixels]


def test_the_splits_hold_every_character_once(omniglot):
    ids = {split: omniglot.class_ids(split) for split in ("train", "val", "test")}
    assert {split: len(i) for split, i in ids.items()} == {"train": 1100, "val": 100, "test": 423}
    assert sorted(np.concatenate(list(ids.values()))) == list(range(1623))
    assert len(set(omniglot.class_names)) == 1623


def test_the_splits_are_the_same_on_every_machine(omniglot):
    names = omniglot.class_names
    listing = "\n".join(
        f"{split} {names[i]}"
        for split in ("train", "val", "test")
        for i in omniglot.class_ids(split)
    )
    assert names == sorted(names)
    assert hashlib.sha256(listing.encode()).hexdigest() == SPLITS_SHA256


@pytest.mark.parametrize(
    ("part", "character"),
    [
        ("images_background", "Greek/character04"),
        ("images_background", "Alphabet_of_the_Magi/character01"),
        ("images_evaluation", "Tibetan/character29"),
    ],
)
def test_pixels_are_those_of_pillows_own_resize(drawings, omniglot_path, part, character):
    with zipfile.ZipFile(omniglot_path / f"{part}.zip") as archive:
        prefix = f"{part}/{character}/"
        files = sorted(n for n in archive.namelist() if n.startswith(prefix) and n.endswith(".png"))
        assert len(files) == 20
        for drawing, file in enumerate(files):
            image = Image.open(io.BytesIO(archive.read(file)))
            assert image.size == (105, 105)
            small = image.convert("L").resize((28, 28), Image.Resampling.LANCZOS)
            stored = drawings.images[drawings.names.index(character), drawing]
            np.testing.assert_array_equal(stored, 255 - np.asarray(small))


def test_ink_is_one_and_paper_zero(omniglot):
    x = omniglot.episodes("train", 0, 0, **SIZES).support_x
    assert float(tf.reduce_min(x)) == 0
    assert float(tf.reduce_max(x)) == 1
    assert float(tf.reduce_mean(x)) < 0.25


def test_episode_shapes_follow_way_and_shot(omniglot):
    episode = omniglot.episodes("train", 0, 0, **SIZES)
    assert episode.support_x.shape == (6, WAY * 2, *omniglot.input_shape)
    assert episode.query_x.shape == (6, WAY * 3, *omniglot.input_shape)
    assert episode.support_y.shape == (6, WAY * 2, omniglot.output_size)
    assert episode.query_y.shape == (6, WAY * 3, omniglot.output_size)
    assert all(tensor.dtype == tf.float32 for tensor in episode)
    assert omniglot.is_classification


def test_same_arguments_give_the_same_bits_eagerly_and_traced(omniglot):
    first = omniglot.episodes("train", 3, 11, **SIZES)
    again = omniglot.episodes("train", 3, 11, **SIZES)
    traced = tf.function(lambda i: omniglot.episodes("train", 3, i, **SIZES), autograph=False)
    for other in (again, traced(tf.constant(11)), traced(tf.constant(11, tf.int64))):
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("other", [("train", 3, 12), ("train", 4, 11)])
def test_another_iteration_or_seed_draws_other_tasks(omniglot, other):
    one = omniglot.episodes("train", 3, 11, **SIZES)
    two = omniglot.episodes(*other, **SIZES)
    assert np.any(one.support_x != two.support_x)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_image_of_an_episode_is_a_drawing_of_the_split(omniglot, origins, split):
    allowed = set(omniglot.class_ids(split).tolist())
    episode = omniglot.episodes(split, 0, 0, **SIZES)
    for x in (episode.support_x, episode.query_x):
        for task in trace(origins, x):
            for candidates in task:
                assert {character for character, _, _ in candidates} & allowed


def test_labels_drawings_and_rotations_are_consistent_within_a_class(omniglot, origins):
    all_turns = []
    for iteration in range(10):
        episode = omniglot.episodes("train", 1, iteration, **SIZES)
        x = tf.concat([episode.support_x, episode.query_x], axis=1)
        y = np.argmax(tf.concat([episode.support_y, episode.query_y], axis=1), axis=-1)
        for labels, task in zip(y, trace(origins, x), strict=True):
            characters = set()
            for label in range(WAY):
                examples = [c for c, shown in zip(task, labels, strict=True) if shown == label]
                assert len(examples) == SIZES["shot"] + SIZES["query"]
                # One character in one orientation explains all of the class's images ...
                common = set.intersection(*({(c, t) for c, _, t in e} for e in examples))
                assert common
                character, turns = min(common)
                # ... each by a drawing of its own.
                shown = [{d for c, d, t in e if (c, t) == (character, turns)} for e in examples]
                assert len(set.union(*shown)) >= len(examples)
                assert len({min(d) for d in shown}) == len(examples)
                characters.add(character)
                all_turns.append(turns)
            assert len(characters) == WAY
    assert stats.chisquare(np.bincount(all_turns, minlength=4)).pvalue > 1e-3


def test_examples_are_listed_shot_by_shot_in_shuffled_class_order(omniglot):
    episode = omniglot.episodes("train", 0, 0, **SIZES)
    for y, per_class in ((episode.support_y, 2), (episode.query_y, 3)):
        np.testing.assert_array_equal(np.sum(y, axis=-1), 1)
        shots = np.argmax(y, axis=-1).reshape(6 * per_class, WAY)
        np.testing.assert_array_equal(np.sort(shots), np.tile(np.arange(WAY), (6 * per_class, 1)))
        assert len(np.unique(shots, axis=0)) > 1


def test_fewer_training_classes_are_the_first_of_all(drawings, omniglot, origins):
    few = Omniglot(drawings.names, drawings.images, WAY, num_train_classes=7)
    np.testing.assert_array_equal(few.class_ids("train"), omniglot.class_ids("train")[:7])
    for split in ("val", "test"):
        np.testing.assert_array_equal(few.class_ids(split), omniglot.class_ids(split))
    episode = few.episodes("train", 0, 0, tasks=20, shot=1, query=1)
    for task in trace(origins, episode.support_x):
        for candidates in task:
            assert {c for c, _, _ in candidates} & set(few.class_ids("train").tolist())


@pytest.mark.parametrize("number", [0, -2, 1101])
def test_a_number_of_training_classes_out_of_range_is_refused(drawings, number):
    with pytest.raises(DataError, match=f"--num_train_classes must be .* 1100.*got {number}"):
        Omniglot(drawings.names, drawings.images, WAY, num_train_classes=number)


def test_a_way_larger_than_the_split_is_refused(drawings):
    with pytest.raises(DataError, match=r"--num_classes must be .* 1100.* train split, got 1101"):
        Omniglot(drawings.names, drawings.images, 1101)
    source = Omniglot(drawings.names, drawings.images, 101)
    with pytest.raises(DataError, match=r"--num_classes must be .* 100.* val split, got 101"):
        source.episodes("val", 0, 0, tasks=1, shot=1, query=1)


def test_more_images_than_a_character_has_drawings_are_refused(omniglot):
    omniglot.episodes("val", 0, 0, tasks=1, shot=10, query=10)
    with pytest.raises(DataError, match=r"--update_batch_size=11 with 10 query .* has 20$"):
        omniglot.episodes("val", 0, 0, tasks=1, shot=11, query=10)
