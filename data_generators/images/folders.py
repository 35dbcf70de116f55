"""Class folders: which files are images, and which folders a person may mean as one class."""

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from data_generators.errors import DataError, legible
from data_generators.images.file_tree import FileTree
from data_generators.images.formats import is_image

SHOWN = 5  # names of a list that one line holds

ClassFiles = dict[str, list[str]]
"""Name of a class -> paths of its images, sorted."""


def image_folders(tree: FileTree) -> ClassFiles:
    """Every folder that holds images itself, but for the root: path -> its images, sorted."""
    folders: ClassFiles = {}
    for name in sorted(filter(is_image, tree.files)):
        if folder := posixpath.dirname(name):
            folders.setdefault(folder, []).append(name)
    return folders


def without_images(tree: FileTree, classes: Iterable[str]) -> dict[str, str]:
    """Folders beside class folders that have files, but no image -> why they are left out."""
    classes = list(classes)
    beside = {posixpath.dirname(label) for label in classes}
    used = {path for label in classes for path in _folders_of(f"{label}/")}
    found: Counter[str] = Counter()
    for name in tree.files:
        for folder in _folders_of(name):
            if posixpath.dirname(folder) in beside and folder not in used:
                found[folder] += 1
                break
    return {
        folder: f"it has no images, but {number} other files"
        for folder, number in sorted(found.items())
    }


def _folders_of(name: str) -> list[str]:
    """The folders that a file lies in, the outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def loose_images(tree: FileTree) -> dict[str, str]:
    """Images at the root itself -> why they are left out."""
    loose = (name for name in tree.files if "/" not in name and is_image(name))
    return dict.fromkeys(loose, "it is in no class folder")


def other_files(tree: FileTree, known: Collection[str] = ()) -> str | None:
    """Say which files are neither images by their names nor known, such as "12 .heic, 1 .txt"."""
    suffixes = Counter(
        posixpath.splitext(name)[1].lower() or "without a suffix"
        for name in tree.files
        if not is_image(name) and name not in known
    )
    return ", ".join(f"{n} {suffix}" for suffix, n in sorted(suffixes.items())) or None


def what_there_is(tree: FileTree) -> str:
    """What a person may be told of a tree that has no class folders, such as "it has 3 .heic"."""
    if loose := len(loose_images(tree)):
        parts = [f"{loose} images that are in no class folder"]
    else:
        parts = [others] if (others := other_files(tree)) else []
    if tree.hidden:
        parts.append(f"{tree.hidden} passed over, as a name begins with a dot or is a system's own")
    if tree.left_out:
        name, why = next(iter(tree.left_out.items()))
        parts.append(f"{len(tree.left_out)} left out, such as {legible(name, 100)}: {why}")
    return f"it has {', '.join(parts) or 'no files'}"


def one_name(label: str) -> str:
    """A class's name without what the eye does not see: blanks, forms and marks of Unicode."""
    seen = "".join(c for c in label if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def check_disjoint(tree: FileTree, splits: Mapping[str, ClassFiles]) -> None:
    """Raise DataError if a class is in two splits, or twice under names that look alike."""
    seen: dict[str, tuple[str, str]] = {}
    for split, classes in splits.items():
        for label in classes:
            other_split, other = seen.setdefault(one_name(label), (split, label))
            if other != label:
                raise DataError(
                    f"{tree.root}: the classes {other!a} and {label!a} differ in blanks or in the "
                    "form of a letter alone, or in marks that nobody sees; give one class one name"
                )
            if other_split != split:
                raise DataError(
                    f"{tree.root}: class {label} is both in {other_split} and in {split}; "
                    "the splits must not share classes"
                )


def alike(labels: Iterable[str]) -> str | None:
    """Say which classes may be meant as one: a folder of the same name, or one inside another.

    Returns:
        such as "a/cat and b/Cat"; None if there are none.
    """
    labels = sorted(labels)
    first: dict[str, str] = {}
    pairs = []
    for label in labels:
        leaf = one_name(posixpath.basename(label)).casefold()
        if leaf in first:
            pairs.append((first[leaf], label))
        first.setdefault(leaf, label)
    present = set(labels)
    for label in labels:
        above = posixpath.dirname(label)
        while above:
            if above in present:
                pairs.append((above, label))
            above = posixpath.dirname(above)
    return some([f"{a} and {b}" for a, b in pairs]) if pairs else None


def some(names: Iterable[str]) -> str:
    """The first of some names, legible, and how many there are more."""
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(legible(name, 200) for name in names[:SHOWN]) + more
