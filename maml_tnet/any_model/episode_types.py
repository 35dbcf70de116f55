"""Number types of episodes that come one by one."""

from typing import Any

import tensorflow as tf


class EpisodeTypes:
    """The types of the first episode's parts, to which TensorFlow would cut all that follow."""

    def __init__(self) -> None:
        self.first: dict[str, Any] | None = None

    def check(self, parts: dict[str, Any]) -> None:
        """Refuse an episode of other ones than those before it.

        Args:
            parts: its arrays by their names.

        Raises:
            ValueError: it has other parts, or numbers that those types cannot hold.
        """
        types = {
            name: tf.nest.map_structure(lambda array: tf.as_dtype(array.dtype), part)
            for name, part in parts.items()
        }
        if self.first is None:
            self.first = types
        if types.keys() != self.first.keys():
            raise ValueError(
                f"an episode has {', '.join(types)}, but those before it {', '.join(self.first)}: "
                "give all of them the same parts"
            )
        for name, part in types.items():
            try:
                tf.nest.assert_same_structure(self.first[name], part)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{name} of an episode is nested otherwise than in those before it"
                ) from error
            pairs = zip(tf.nest.flatten(part), tf.nest.flatten(self.first[name]), strict=True)
            for found, expected in pairs:
                is_number = found.is_floating or found.is_integer or found.is_bool
                if found != expected and not (expected.is_floating and is_number):
                    raise ValueError(
                        f"{name} of an episode is {found.name}, but {expected.name} in those "
                        "before it: give that of all episodes the same type"
                    )
