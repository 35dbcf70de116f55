"""The same image more than once: under two names in a class, in two classes, in two splits.

Copies of a file, links to it, and files of equal bytes are the same image; one that was saved anew
is not. Nothing is left out: which of two labels is right is not to be known, and another set of
images would be other tasks for runs that are there.
"""

import hashlib
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from data_generators.images.folders import some

_log = logging.getLogger(__name__)


class _Place(NamedTuple):
    split: str
    label: str
    row: int


_Same = list[list[_Place]]
"""The places of every image that has several, in the order of the data."""


def warn_of_repeated_images(
    splits: Mapping[str, Mapping[str, Iterable[int]]],
    checksums: Mapping[int, int],
    *,
    picture: Callable[[int], bytes],
    name: Callable[[int], str],
) -> None:
    """Say what is there more than once, in one line for each of the four kinds.

    Args:
        splits: split -> its classes -> the rows of their images.
        checksums: row -> of its file.
        picture: row -> its pixels. They are compared where checksums are equal, which those of two
            of 60,000 files may be by chance.
        name: row -> of its file.
    """
    same = _same_images(splits, checksums, picture)
    one_class = _classes_of_several_names(splits, same)
    if found := _in_one_class(same, name):
        _log.warning(
            "the same image more than once in a class, where one can be support and the other "
            "query (%d in all): %s",
            len(found),
            some(found),
        )
    if one_class:
        names = [" = ".join(label for _, label in group) for group in one_class]
        _log.warning(
            "classes of the same images under several names (%d in all): %s",
            len(names),
            some(names),
        )
    if found := _in_several_classes(same, one_class, name):
        _log.warning(
            "the same image in several classes of a split (%d in all): %s", len(found), some(found)
        )
    if shared := _in_several_splits(same, name):
        _log.warning("the same image in several splits, which should share none: %s", shared)


def _same_images(
    splits: Mapping[str, Mapping[str, Iterable[int]]],
    checksums: Mapping[int, int],
    picture: Callable[[int], bytes],
) -> _Same:
    times = Counter(checksums.values())
    places: dict[tuple[int, bytes], list[_Place]] = {}
    for split, classes in splits.items():
        for label, rows in classes.items():
            for row in map(int, rows):
                if times[checksums[row]] > 1:
                    image = checksums[row], hashlib.sha256(picture(row)).digest()
                    places.setdefault(image, []).append(_Place(split, label, row))
    return [found for found in places.values() if len(found) > 1]


def _in_one_class(same: _Same, name: Callable[[int], str]) -> list[str]:
    groups = (
        list(group)
        for places in same
        for _, group in itertools.groupby(places, key=lambda place: place[:2])
    )
    return [_equal(group, name) for group in groups if len(group) > 1]


def _classes_of_several_names(
    splits: Mapping[str, Mapping[str, Iterable[int]]], same: _Same
) -> list[list[tuple[str, str]]]:
    """(split, label) of the classes whose images are those of another."""
    image = {place.row: number for number, places in enumerate(same) for place in places}
    names: dict[frozenset[int], list[tuple[str, str]]] = {}
    for split, classes in splits.items():
        for label, rows in classes.items():
            found = [image.get(int(row), -1) for row in rows]
            if found and -1 not in found:
                names.setdefault(frozenset(found), []).append((split, label))
    return [found for found in names.values() if len(found) > 1]


def _in_several_classes(
    same: _Same, one_class: list[list[tuple[str, str]]], name: Callable[[int], str]
) -> list[str]:
    """Those that `one_class` does not explain."""
    number = {place: n for n, places in enumerate(one_class) for place in places}
    groups = (
        list(group)
        for places in same
        for _, group in itertools.groupby(places, key=lambda place: place.split)
    )
    return [
        _equal(group, name)
        for group in groups
        if len({number.get((place.split, place.label), place.label) for place in group}) > 1
    ]


def _in_several_splits(same: _Same, name: Callable[[int], str]) -> str:
    """Such as "2 in train and test; a/1.png = b/7.png"; empty if there are none."""
    shared = [places for places in same if len({place.split for place in places}) > 1]
    pairs = Counter(
        pair
        for places in shared
        for pair in itertools.combinations(dict.fromkeys(place.split for place in places), 2)
    )
    counts = ", ".join(f"{n} in {one} and {other}" for (one, other), n in pairs.items())
    return f"{counts}; {some(_equal(places, name) for places in shared)}" if shared else ""


def _equal(places: Sequence[_Place], name: Callable[[int], str]) -> str:
    return " = ".join(name(place.row) for place in places)
