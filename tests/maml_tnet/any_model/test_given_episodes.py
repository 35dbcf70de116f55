"""Episodes from generators and sequences reach a step of Keras as those of a dataset do."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from maml_tnet.any_model.episode import ModelEpisode, model_episode
from maml_tnet.any_model.given_episodes import GivenEpisodes

TASKS, SHOT, QUERY = 3, 5, 4


class Sums(keras.Model):
    """Gives the sum of the inputs of every task."""

    def __init__(self):
        super().__init__()
        self.compile(run_eagerly=True)

    def predict_step(self, data):
        episode = model_episode(data)
        inputs = [*tf.nest.flatten(episode.support_x), *tf.nest.flatten(episode.query_x)]
        sums = tf.add_n([tf.cast(tf.reduce_sum(x, [1, 2]), tf.float32) for x in inputs])
        if episode.query_weight is not None:
            sums += tf.reduce_sum(episode.query_weight, 1)
        return sums

    def predict(self, x, **kwargs):
        with GivenEpisodes(model_episode) as given:
            return super().predict(given(x), verbose=0, **kwargs)


@pytest.fixture(scope="module")
def sums():
    return Sums()


class Sequence(keras.utils.Sequence):
    """Episodes, made by a function of their numbers."""

    def __init__(self, make, number=2):
        super().__init__()
        self.make = make
        self.number = number
        self.epochs = []

    def __len__(self):
        return self.number

    def __getitem__(self, i):
        return self.make(i)

    def on_epoch_begin(self):
        self.epochs.append("begin")

    def on_epoch_end(self):
        self.epochs.append("end")


def episode(number, shot=SHOT):
    rng = np.random.default_rng(number)
    sizes = [shot, 2], [shot], [QUERY, 2], [QUERY]
    parts = (rng.normal(size=[TASKS, *size]).astype("float32") for size in sizes)
    return dict(zip(ModelEpisode._fields, parts, strict=False))


def as_tuple(number):
    return tuple(episode(number).values())


def as_lists(number):
    return [part.tolist() for part in as_tuple(number)]


def expected(episodes):
    return np.concatenate([e["support_x"].sum((1, 2)) + e["query_x"].sum((1, 2)) for e in episodes])


WEIGHTS = np.ones([TASKS, QUERY], "float32")


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (episode, 0),
        (as_tuple, 0),
        (as_lists, 0),
        (lambda i: as_tuple(i)[:3], 0),
        (lambda i: (episode(i), None), 0),
        (lambda i: tuple(map(tf.constant, as_tuple(i))), 0),
        (lambda i: (*as_tuple(i), None, WEIGHTS), QUERY),
        (lambda i: episode(i) | {"support_weight": None, "query_weight": WEIGHTS}, QUERY),
    ],
)
def test_what_an_episode_may_be(sums, make, more):
    known = expected(map(episode, range(2))) + more
    given = GivenEpisodes(model_episode)
    for episodes in (
        given(map(make, range(2))),
        given(Sequence(make)),
        map(given, map(make, range(2))),
    ):
        found = np.concatenate([sums.predict_step(each) for each in episodes])
        np.testing.assert_allclose(found, known, rtol=1e-5)


def test_keras_takes_them(sums):
    def nested(number):
        return {k: [x, x] if k.endswith("x") else x for k, x in episode(number).items()}

    known = expected(map(episode, range(2)))
    for given in (map(as_tuple, range(2)), Sequence(as_tuple)):
        np.testing.assert_allclose(sums.predict(given), known, rtol=1e-5)
    found = sums.predict(as_lists(1), batch_size=2)
    np.testing.assert_allclose(found, known[TASKS:], rtol=1e-5)
    for given in (map(nested, range(2)), Sequence(nested)):
        np.testing.assert_allclose(sums.predict(given), 2 * known, rtol=1e-5)


def test_a_sequence_is_told_of_epochs(sums):
    given = Sequence(episode)
    with GivenEpisodes(model_episode) as made:
        sequence = made(given)
        assert made(sequence) is sequence
        assert sequence.num_batches == 2
        sequence.on_epoch_begin()
        sequence.on_epoch_end()
    assert given.epochs == ["begin", "end"]


def test_an_iterator_gives_episodes_of_any_size(sums):
    sizes = [SHOT, SHOT, SHOT + 1, 2]
    episodes = [episode(i, shot) for i, shot in enumerate(sizes)]
    np.testing.assert_allclose(sums.predict(iter(episodes)), expected(episodes), rtol=1e-5)
    message = r"^an episode has a part of shape \(3, 6, 2\), but \(None, 5, 2\) in those before it"
    with pytest.raises(ValueError, match=message):
        sums.predict(Sequence(episodes.__getitem__, 4))


def broken(number):
    if number < 2:
        return episode(number)
    raise KeyError("no such picture")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (broken, KeyError, "^'no such picture'$"),
        (lambda i: broken(i + 2), KeyError, "^'no such picture'$"),
        (lambda i: episode(i) if i < 2 else 7, ValueError, "^an episode must be .*, got int$"),
        (lambda i: as_tuple(i)[:2], ValueError, "^an episode must be .*, got tuple$"),
    ],
)
def test_what_is_raised_while_episodes_are_made_is_raised_as_it_was(sums, make, error, message):
    for given in (map(make, range(4)), Sequence(make, 4)):
        with pytest.raises(error, match=message):
            sums.predict(given)


def test_what_another_process_raises_is_named():
    text = "Detected at node PyFunc\nKeyError: 'mine'\nmultiprocessing.pool.RemoteTraceback: "
    with (
        pytest.raises(RuntimeError, match=r"^a process of a .*PyDataset raised KeyError: 'mine'$"),
        GivenEpisodes(model_episode),
    ):
        raise tf.errors.UnknownError(None, None, f'{text}\n"""\nTraceback')


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        ("i4", "f8", "^query_y of an episode is float64, but int32 in those before it: give "),
        ("u1", "i4", "^query_y of an episode is int32, but uint8 in those before it: give "),
        ("i4", "i8", "^query_y of an episode is int64, but int32 in those before it: give "),
        ("?", "f4", "^query_y of an episode is float32, but bool in those before it: give "),
        ("f4", "i4", None),
        ("f8", "?", None),
    ],
)
@pytest.mark.parametrize("place", [1, 2])
def test_no_number_is_cut_to_the_type_of_the_first_episode(first, later, message, place):
    def typed(i):
        return episode(i) | {"query_y": np.ones([TASKS, QUERY], later if i == place else first)}

    def parts(given):
        with GivenEpisodes(model_episode) as made:
            return list(made(given))

    for given in (map(typed, range(3)), Sequence(typed, 3)):
        if message is None:
            np.testing.assert_array_equal([each["query_y"] for each in parts(given)], 1)
        else:
            with pytest.raises(ValueError, match=message):
                parts(given)


def test_episodes_have_the_same_parts(sums):
    def other(number):
        whole = episode(number)
        return whole | {"query_weight": WEIGHTS} if number == 2 else whole

    def nested(number):
        whole = episode(number)
        return whole | {"support_x": [whole["support_x"]] * 2} if number == 1 else whole

    for make, message in (
        (other, r"^an episode has support_x, .* query_y, query_weight, but those before it supp"),
        (nested, r"^support_x of an episode is nested otherwise than in those before it$"),
    ):
        for given in (map(make, range(3)), Sequence(make, 3)):
            with pytest.raises(ValueError, match=message):
                sums.predict(given)


def test_an_iterator_that_is_used_up_is_no_epoch_of_nothing(sums):
    with GivenEpisodes(model_episode) as given:
        episodes = given(map(episode, range(3)))
        assert len(list(episodes)) == 3
        with pytest.raises(tf.errors.OpError):
            list(episodes)
        assert str(given.failures[0]).startswith("an iterator gives its episodes once, and none is")


def test_what_gives_no_episodes_is_named(sums):
    with pytest.raises(ValueError, match=r"^episodes must come from an iterator, and nothing came"):
        sums.predict(map(episode, []))
    with pytest.raises(ValueError, match=r"^episodes are given by .* got a list of 2$"):
        sums.predict([episode(0), episode(1)])
    with pytest.raises(ValueError, match=r"^episodes are given by .* got a list of 2$"):
        sums.predict([as_tuple(0), as_tuple(1)])
    with pytest.raises(ValueError, match=r"^episodes are given by .* got a list of 1$"):
        sums.predict([episode(0)])
    less = {**episode(0), "query_y": np.ones([TASKS, QUERY - 1])}
    with pytest.raises(ValueError, match=r"^query_y must be .* with the sizes of query_x"):
        sums.predict(iter([less]))
