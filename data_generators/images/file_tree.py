"""Files of a folder or of a zip, read the same way."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from data_generators.errors import DataError


class FileTree(Protocol):
    """The files below one root.

    Attributes:
        root: the folder or the zip.
        files: relative path, with "/" between its parts -> a text that changes with the file.
    """

    root: Path
    files: dict[str, str]

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises DataError naming the file when it cannot."""
        ...


def _is_visible(name: str) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


class FolderTree:
    """The files below a folder."""

    def __init__(self, root: Path):
        self.root = root
        self.files: dict[str, str] = {}
        # Data sets are often a folder of links to folders.
        for folder, _, names in os.walk(root, followlinks=True):
            for name in names:
                path = Path(folder, name)
                relative = path.relative_to(root).as_posix()
                if not _is_visible(relative):
                    continue
                try:
                    status = path.stat()
                except OSError as error:
                    raise DataError(f"cannot read {path}: {error.strerror}") from error
                self.files[relative] = f"{status.st_size} {status.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises DataError naming the file when it cannot."""
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {self.root / name}: {error.strerror}") from error


class ZipTree:
    """The files of a zip, read without unpacking it."""

    def __init__(self, root: Path):
        self.root = root
        try:
            self._zip = zipfile.ZipFile(root)
            status = root.stat()
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{root} is not a complete zip file: {error}") from error
        changed = f"{status.st_size} {status.st_mtime_ns}"
        self.files = {
            entry.filename: f"{changed} {entry.file_size} {entry.CRC}"
            for entry in self._zip.infolist()
            if not entry.is_dir() and _is_visible(entry.filename)
        }

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises DataError naming the file when it cannot."""
        try:
            return self._zip.read(name)
        # RuntimeError: encrypted; NotImplementedError: a compression this Python lacks.
        except (
            OSError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise DataError(f"cannot read {self.root}/{name}: {error}") from error


def open_tree(path: Path) -> FileTree:
    """List the files of a folder or a zip.

    Raises:
        DataError: `path`, the flag --data_path, is neither.
    """
    if path.is_dir():
        return FolderTree(path)
    if path.is_file():
        return ZipTree(path)
    raise DataError(f"--data_path={path} does not exist")


def fingerprint(files: Iterable[tuple[FileTree, str]]) -> str:
    """Return a short text that changes when the list of files, or one of them, does."""
    digest = hashlib.sha256()
    for tree, name in files:
        digest.update(f"{name}\0{tree.files[name]}\n".encode())
    return digest.hexdigest()[:16]
