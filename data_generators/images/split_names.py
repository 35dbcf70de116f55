"""The names that people give to the three splits."""

import re

from data_generators.random_streams import SPLITS

# Words that may say it, too.
OTHER_WORDS = {
    "tr": "train", "background": "train",
    "va": "val",
    "te": "test", "eval": "test", "evaluation": "test", "holdout": "test", "heldout": "test",
}  # fmt: skip
_NAME = re.compile(
    r"(?:meta)?(?:(train(?:ing)?)|(val(?:id(?:ation)?)?|dev)|(test(?:ing)?))"
    r"(?:set|split|data|images|classes)?"
)


def split_named(name: str) -> str | None:
    """The split that a folder or file of this name is meant as: "train", "val", "test" or None.

    Case does not matter, nor what separates words: train, Train, meta_train, Meta-Training,
    "training set"; val, valid, validation, dev; test, TEST, testing.
    """
    match = _NAME.fullmatch(re.sub(r"[\W_]", "", name).lower())
    return SPLITS[match.lastindex - 1] if match and match.lastindex else None


def split_suspected(name: str) -> str | None:
    """The split that a word of a name is, such as of 01_train, train2017, trainA or images_eval.

    A class may have such a name, too.

    Returns:
        None if there is none.
    """
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    return next((split for word in words if (split := _split_of_word(word.lower()))), None)


def _split_of_word(word: str) -> str | None:
    return split_named(word) or split_named(word.removesuffix("s")) or OTHER_WORDS.get(word)
