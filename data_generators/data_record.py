"""What tasks are drawn from, where files decide it: the classes of every split and their images."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

NAMED = 3  # so many differences are said, the others counted


class ImageClass(NamedTuple):
    """A class as a data record has it.

    Attributes:
        images: number of them.
        digest: of the contents of their files, in the order in which they are drawn from.
    """

    images: int
    digest: str


@dataclass(frozen=True)
class DataRecord:
    """The classes that tasks are drawn from. It depends on the data alone, not on where it lies.

    Attributes:
        classes: split -> name of a class -> the class; in the order in which they are drawn from.
    """

    classes: Mapping[str, Mapping[str, ImageClass]]

    @property
    def fingerprint(self) -> str:
        """Another one for other data, or for another order of it."""
        return _digest(json.dumps(self.to_dict()).encode())

    def differences(self, there: "DataRecord") -> list[str]:
        """Say what the data `there` has different from this; empty for the same data.

        Returns:
            lines such as "class dog is in train there, in test here"; of many, the first and how
            many more there are.
        """
        lines = list(self._differences(there))
        if len(lines) > NAMED + 1:
            lines[NAMED:] = [f"{len(lines) - NAMED} more differences"]
        return lines

    def _differences(self, there: "DataRecord") -> Iterable[str]:
        splits = [*dict.fromkeys([*self.classes, *there.classes])]
        places_here, places_there = self._places, there._places
        for name in [*dict.fromkeys([*places_here, *places_there])]:
            here, other = places_here.get(name), places_there.get(name)
            if here != other:
                yield (f"class {name} is {_in_words(other)} there, {_in_words(here)} here")
                continue
            for split in here or ():
                ours, theirs = self.classes[split][name], there.classes[split][name]
                if ours.images != theirs.images:
                    yield f"class {name} has {theirs.images} images there, {ours.images} here"
                elif ours != theirs:
                    yield f"class {name} has other images there than here"
        if places_here == places_there:
            for split in splits:
                if list(self.classes.get(split, ())) != list(there.classes.get(split, ())):
                    yield f"the classes of {split} are in another order there than here"

    @property
    def _places(self) -> dict[str, list[str]]:
        places: dict[str, list[str]] = {}
        for split, classes in self.classes.items():
            for name in classes:
                places.setdefault(name, []).append(split)
        return places

    def to_dict(self) -> dict[str, Any]:
        """As `from_dict` reads it, for people with the classes first."""
        return {
            "classes": {
                split: {name: found.images for name, found in classes.items()}
                for split, classes in self.classes.items()
            },
            "digests": {
                split: {name: found.digest for name, found in classes.items()}
                for split, classes in self.classes.items()
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises AttributeError, KeyError or TypeError where it is not of this form."""
        digests = values["digests"]
        return cls(
            {
                split: {
                    name: ImageClass(images, digests[split][name])
                    for name, images in classes.items()
                }
                for split, classes in values["classes"].items()
            }
        )


def image_class(checksums: Sequence[int] | np.ndarray) -> ImageClass:
    """A class of images with these checksums (CRC-32), in their order."""
    return ImageClass(len(checksums), _digest(np.asarray(checksums, "<u4").tobytes()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _in_words(splits: Sequence[str] | None) -> str:
    return "missing" if splits is None else f"in {' and '.join(splits)}"
