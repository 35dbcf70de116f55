"""Finding, downloading and reading the drawings of Omniglot."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_generators.errors import ANOTHER_FOLDER, DataError, reason
from data_generators.images.contents import Contents
from data_generators.images.decoding import READER_VERSION, read_image
from data_generators.images.download import download
from data_generators.images.file_tree import (
    ZIP_DAMAGE,
    FileTree,
    FolderTree,
    ZipTree,
    fingerprint,
)
from data_generators.images.folders import some
from system.atomic_file import atomic_write
from system.progress import Progress

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
CHARACTERS = {"images_background": 964, "images_evaluation": 659}
TOTAL = sum(CHARACTERS.values())
DRAWINGS = 20  # of every character, each by another person
SIDE = 28  # pixels; the files have 105

CharacterFiles = dict[str, tuple[FileTree, list[str]]]
"""Name of a character -> where its drawings are, and their sorted paths there."""

# What a cache that is damaged raises: it is a zip of arrays, whose headers NumPy reads before the
# zip's checksums are compared.
_DAMAGE = (*ZIP_DAMAGE, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError)

_log = logging.getLogger(__name__)


class Drawings(NamedTuple):
    """The whole data set.

    Attributes:
        names: "Alphabet/characterNN" of every character, sorted.
        images: uint8 [characters, 20, 28, 28], ink = 255.
        contents: of the files, character by character; None where there are none.
    """

    names: list[str]
    images: np.ndarray
    contents: Contents | None = None


def load_drawings(
    data_path: str | None, cache_dir: str, *, base_url: str = URL, timeout: float = 30.0
) -> Drawings:
    """Read Omniglot, from the cache where it holds the same files.

    Args:
        data_path: folder with the two zips, or the two unpacked folders, or the alphabets of both;
            None to use the zips in `cache_dir`, downloaded if they are not there yet.
        cache_dir: folder for the downloaded zips and the array of resized drawings.
        base_url: where the zips are downloaded from.
        timeout: seconds that the server may stay silent.

    Raises:
        DataError: the drawings are missing, incomplete or damaged, or cannot be downloaded.
    """
    if data_path is None:
        _download_zips(Path(cache_dir), base_url, timeout)
    files = _list_files(_find_trees(Path(cache_dir if data_path is None else data_path)))
    key = fingerprint((tree, path) for tree, paths in files.values() for path in paths)
    cache = Path(cache_dir, f"omniglot-v{READER_VERSION}-{key}.npz")
    drawings = _read_cache(cache)
    if drawings is None:
        drawings = _read_files(files)
        _write_cache(cache, drawings)
    rows = [(tree, path) for tree, paths in files.values() for path in paths]
    return drawings._replace(contents=Contents(rows, cache_dir))


def _group(files: Iterable[str]) -> dict[str, list[str]]:
    """Map "Alphabet/characterNN" to the sorted paths of its drawings."""
    characters: dict[str, list[str]] = {}
    for path in sorted(files):
        parts = path.split("/")
        if path.lower().endswith(".png") and len(parts) >= 3:
            characters.setdefault("/".join(parts[-3:-1]), []).append(path)
    return characters


def _count_problem(characters: dict[str, list[str]], expected: int) -> str | None:
    if len(characters) != expected:
        return f"it has {len(characters)} characters, expected {expected}"
    for name, files in characters.items():
        if len(files) != DRAWINGS:
            return f"{name} has {len(files)} drawings, expected {DRAWINGS}"
    return None


def _zip_problem(path: Path, expected: int) -> str | None:
    try:
        tree = ZipTree(path)
        for name in tree.files:
            tree.read(name)
    except DataError as error:
        return str(error).replace(str(path), "the zip")
    return _count_problem(_group(tree.files), expected)


def _download_zips(folder: Path, base_url: str, timeout: float) -> None:
    for part, expected in CHARACTERS.items():
        target = folder / f"{part}.zip"
        if target.is_file():
            continue

        def verify(path: Path, expected: int = expected) -> str | None:
            return _zip_problem(path, expected)

        try:
            download(f"{base_url}/{part}.zip", target, verify=verify, timeout=timeout)
        except DataError as error:
            zips = " and ".join(f"{name}.zip" for name in CHARACTERS)
            raise DataError(f"{error}; --data_path can name a folder with {zips}") from error


def _find_trees(folder: Path) -> list[tuple[FileTree, int]]:
    """Return the places of the drawings, each with the number of characters due there."""
    if not folder.exists():
        raise DataError(f"--data_path={folder} does not exist")
    found: dict[str, FileTree] = {}
    for part in CHARACTERS:
        if (folder / f"{part}.zip").is_file():
            found[part] = ZipTree(folder / f"{part}.zip")
        elif (folder / part).is_dir():
            found[part] = FolderTree(folder / part)
    missing = [part for part in CHARACTERS if part not in found]
    if not missing:
        return [(tree, CHARACTERS[part]) for part, tree in found.items()]
    if not found:
        # The original programs pool the alphabets of both parts in a folder of this name.
        resized = folder / "omniglot_resized"
        pooled = resized if resized.is_dir() else folder
        if any(pooled.glob("*/*/*.png")):
            return [(FolderTree(pooled), TOTAL)]
    raise DataError(
        f"--data_path={folder} has no {' and no '.join(f'{part}.zip' for part in missing)}, "
        "nor the folders unpacked from them"
    )


def _list_files(trees: list[tuple[FileTree, int]]) -> CharacterFiles:
    files: CharacterFiles = {}
    for tree, expected in trees:
        characters = _group(tree.files)
        if problem := _count_problem(characters, expected):
            reasons = [f"; {name}: {why}" for name, why in sorted(tree.left_out.items())]
            raise DataError(
                f"Omniglot in {tree.root} is incomplete or damaged: {problem}{some(reasons)}"
            )
        files |= {name: (tree, paths) for name, paths in characters.items()}
    if len(files) != TOTAL:
        raise DataError(
            f"Omniglot in {' and '.join(str(tree.root) for tree, _ in trees)} is damaged: "
            f"it has {len(files)} different characters, expected {TOTAL}"
        )
    return dict(sorted(files.items()))


def _read_files(files: CharacterFiles) -> Drawings:
    images = np.empty((TOTAL, DRAWINGS, SIDE, SIDE), np.uint8)
    with Progress("Reading Omniglot", TOTAL, "characters") as progress:
        for character, (tree, paths) in enumerate(files.values()):
            for drawing, path in enumerate(paths):
                images[character, drawing] = 255 - read_image(tree, path, "L", SIDE)
            progress.update(character + 1)
    return Drawings(list(files), images)


def _read_cache(path: Path) -> Drawings | None:
    try:
        if not path.is_file():
            return None
        # A .npz is a zip: its checksums are verified while it is read.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            names, images = file["names"].tolist(), file["images"]
    except PermissionError as error:
        _log.warning("cannot read %s (%s): reading the drawings again", path, error.strerror)
        return None
    except _DAMAGE as error:
        _log.warning("%s is damaged (%s): reading the drawings again", path, error)
        return None
    shape = (TOTAL, DRAWINGS, SIDE, SIDE)
    if images.shape != shape or images.dtype != np.uint8 or len(names) != TOTAL:
        _log.warning("%s is not the cache of Omniglot: reading the drawings again", path)
        return None
    return Drawings(names, images)


def _write_cache(path: Path, drawings: Drawings) -> None:
    try:
        with atomic_write(path) as file:
            np.savez_compressed(file, names=np.array(drawings.names), images=drawings.images)
    except OSError as error:
        why = f"{reason(error)}; {ANOTHER_FOLDER}"
        _log.warning("going on without a cache: cannot write %s: %s", path, why)
