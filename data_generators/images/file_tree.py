"""Files of a folder or of a zip, read the same way."""

import contextlib
import hashlib
import io
import lzma
import os
import stat
import struct
import sys
import time
import weakref
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from data_generators.errors import DataError, legible, printable, reason
from data_generators.images.formats import is_image
from data_generators.images.zip_end import FileStart, find_end

LARGEST_FILE = 2**28  # bytes; what is larger is no image, or made to fill the memory
# Of a folder: entries, which the memory must hold, and files that are no images, where there is not
# one image to 100 of them. ImageNet has 544,000, which are listed before its images.
MOST_ENTRIES, MOST_OTHERS = 5_000_000, 1_000_000
EMPTY = "an empty folder"
# Folders that a NAS, Windows or Linux makes, for thumbnails, what was deleted and what was saved.
SYSTEMS = {"@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
SAY_EVERY = 5.0  # seconds of listing

# What zipfile raises for a damaged zip. RuntimeError: encrypted, or a compression or version that
# this Python lacks; ValueError: also names that are not in the encoding that the zip says.
ZIP_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
# The systems of a zip's member on which names may have "\\": FAT, HPFS, NTFS (in two numberings)
# and VFAT.
_WINDOWS = {0, 6, 10, 11, 14}
_SIZE_FOLLOWS = 8  # a bit of a member: its size and checksum stand behind it
# Compressed bytes at a time. A bomb's bytes are 1,000 (LZMA) to 30,000 (bzip2) times as many.
_COMPRESSED_AT_ONCE = 4096


class FileTree(Protocol):
    """The files below one root.

    Names are relative paths with "/" between their parts, as text: what a file system has in them
    that is no text is written as `printable` does.

    Attributes:
        root: the folder or the zip.
        files: name -> a text that changes with the file.
        left_out: name -> why it is not among the files.
        hidden: how many files and folders are passed over for their names alone.
    """

    root: Path
    files: dict[str, str]
    left_out: dict[str, str]
    hidden: int

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises DataError naming the file when it cannot."""
        ...

    def checksum(self, name: str) -> int:
        """Return the CRC-32 of a file's bytes; raises as `read` does, if it has to read them."""
        ...


class _Entry(NamedTuple):
    path: str
    name: str  # below the root, as text

    def entry(self, name: str) -> "_Entry":
        written = printable(name)
        return _Entry(
            os.path.join(self.path, name), f"{self.name}/{written}" if self.name else written
        )


def _folders_above(root: Path) -> dict[tuple[int, int], str]:
    """(Device, inode) of each -> its path."""
    found = {}
    for folder in Path(os.path.realpath(root)).parents:
        with contextlib.suppress(OSError):
            status = os.stat(folder)
            found[status.st_dev, status.st_ino] = str(folder)
    return found


def _check_is_no_system(root: Path) -> None:
    """Raise DataError for / and the like: pictures of programs, among very many other files.

    They are told by libraries, which nobody has among images: the system's and Python's own.
    """
    top = Path(os.path.realpath(root))
    for place in ("/usr/lib", os.environ.get("SYSTEMROOT", ""), os.path.dirname(os.__file__)):
        library = Path(os.path.realpath(place))
        if not os.path.isdir(place) or not library.is_relative_to(top):
            continue
        if not any(map(_is_hidden, library.relative_to(top).parts)):
            raise DataError(
                f"{root} has programs in it, below {library}: name the folder of the images alone"
            )


def _is_hidden(part: str) -> bool:
    return part.startswith((".", "__MACOSX")) or part.lower() in SYSTEMS


class FolderTree:
    """The files below a folder, each folder once, even where several links lead to it.

    What lies above it is not below it, even where a link leads there.

    Raises:
        DataError: the folder itself cannot be listed, or it is far too large to be one of images,
            or the whole system's.
    """

    def __init__(self, root: Path):
        self.root = root
        self.files: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.hidden = 0
        self._paths: dict[str, str] = {}
        self._images = self._entries = 0
        self._say_next = time.monotonic() + SAY_EVERY
        _check_is_no_system(root)
        met = _folders_above(root)
        top = _Entry(str(root), "")
        folders, links = deque([top]), deque[_Entry]()
        # Data sets are often a folder of links to folders. They come last, so that a folder that
        # lies here itself is met under its own name.
        while folders or links:
            folder = (folders or links).popleft()
            try:
                status = os.stat(folder.path)
                entries = sorted(os.listdir(folder.path))
            except OSError as error:
                if folder == top:
                    raise DataError(f"cannot read {root}: {reason(error)}") from error
                self.left_out[folder.name] = reason(error)
                continue
            first = met.setdefault((status.st_dev, status.st_ino), folder.name or str(root))
            if folder != top and first != folder.name:
                self.left_out[folder.name] = f"it is the same folder as {first}"
                continue
            seen = [entry for entry in entries if not _is_hidden(entry)]
            self.hidden += len(entries) - len(seen)
            if not seen and folder != top:
                self.left_out[folder.name] = EMPTY
            for entry in seen:
                self._list(folder.entry(entry), folders, links)

    def _list(self, entry: "_Entry", folders: deque["_Entry"], links: deque["_Entry"]) -> None:
        path, name = entry
        self._count()
        try:
            status = os.stat(path)
        except OSError as error:
            self.left_out[name] = "a link to nothing" if os.path.islink(path) else reason(error)
            return
        if stat.S_ISDIR(status.st_mode):
            (links if os.path.islink(path) else folders).append(entry)
        elif not stat.S_ISREG(status.st_mode):  # Reading a pipe or a device may never end.
            self.left_out[name] = "neither a file nor a folder"
        elif name in self.files:
            self.left_out[name] = "the name of another file is written the same"
        else:
            # The last, which no program can set, tells files of one size and one date apart.
            times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
            self.files[name] = f"{status.st_size} {times}"
            self._paths[name] = path
            self._images += is_image(name)

    def _count(self) -> None:
        """Say how far it is; stop at a folder that would be listed for many minutes."""
        self._entries += 1
        if time.monotonic() >= self._say_next:
            self._say_next = time.monotonic() + SAY_EVERY
            print(
                f"listing {legible(str(self.root))}: {len(self.files)} files so far, "
                f"{self._images} of them images",
                file=sys.stderr,
                flush=True,
            )
        others = len(self.files) - self._images
        if self._entries > MOST_ENTRIES or others > max(MOST_OTHERS, 100 * self._images):
            raise DataError(
                f"{self.root} has too much in it for a folder of images: among its first "
                f"{len(self.files)} files are {self._images} images; name the folder of the images "
                "alone"
            )

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises DataError naming the file when it cannot."""
        try:
            with open(self._paths[name], "rb") as file:
                _check_size(os.fstat(file.fileno()).st_size)
                return file.read()
        except (OSError, _TooLargeError) as error:
            raise DataError(f"cannot read {self.root / name}: {reason(error)}") from error

    def checksum(self, name: str) -> int:
        """Return the CRC-32 of a file's bytes."""
        return zlib.crc32(self.read(name))


class ZipTree:
    """The files of a zip, read without unpacking it.

    Raises:
        DataError: it is no zip, or a damaged or empty one, or cannot be read.
    """

    def __init__(self, root: Path):
        self.root = root
        self.left_out: dict[str, str] = {}
        self.hidden = 0
        try:
            status = root.stat()
            due, end = find_end(root)
            file = io.BufferedReader(FileStart(root, end))
            weakref.finalize(self, file.close)
            self._zip = zipfile.ZipFile(file)
        except PermissionError as error:
            raise DataError(f"cannot read {root}: {reason(error)}") from error
        except ZIP_DAMAGE as error:
            raise DataError(f"{root} is not a complete zip file: {reason(error)}") from error
        listed = len(self._zip.infolist())
        if not listed or ((listed - due) % 2**16 and due != 2**16 - 1):  # which says: many
            raise DataError(f"{root} is not a complete zip file: it lists {listed} of {due} files")
        changed = f"{status.st_size} {status.st_mtime_ns}"
        self.files: dict[str, str] = {}
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            name = entry.filename
            if entry.create_system in _WINDOWS:  # whose programs often keep its "\\"
                name = name.replace("\\", "/")
            # Some programs begin names with "/" or "./".
            parts = [part for part in printable(name).split("/") if part not in ("", ".")]
            if name.endswith("/") or any(map(_is_hidden, parts)):
                self._check_name(entry)
                if ".." in parts:
                    self.left_out[printable(name)] = "a name that leads out of the zip"
                elif not name.endswith("/"):
                    self.hidden += 1
                continue
            name = "/".join(parts)
            if name in self.files:
                self._check_name(entry)
                self.left_out[name] = "the zip has another file of this name, which is used"
                continue
            self.files[name] = f"{changed} {entry.file_size} {entry.CRC}"
            self._entries[name] = entry

    def _check_name(self, entry: zipfile.ZipInfo) -> None:
        """Compare the name in the list of files, which has no checksum, with the file's own.

        Whoever reads the file compares them; what is passed over for its name must be, too.
        """
        try:
            self._zip.open(entry).close()
        except ZIP_DAMAGE as error:
            raise DataError(
                f"{self.root} is damaged at {printable(entry.filename)}: {reason(error)}"
            ) from error

    def _check_empty(self, entry: zipfile.ZipInfo) -> None:
        """Where the list of files is blanked it says 0 bytes and, as of 0 bytes, the checksum 0."""
        if entry.file_size == 0:
            with open(self.root, "rb") as file:
                file.seek(entry.header_offset)
                header = file.read(30)
            flags, (crc, _, size) = header[6], struct.unpack_from("<III", header, 14)
            if (crc or size) and not flags & _SIZE_FOLLOWS:
                raise zipfile.BadZipFile(f"its list of files says 0 bytes, the file itself {size}")

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises DataError naming the file when it cannot."""
        entry = self._entries[name]
        parts = []
        try:
            _check_size(entry.file_size)
            with self._zip.open(entry) as file:
                self._check_empty(entry)
                bounded = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                at_once = entry.file_size + 1 if bounded else _COMPRESSED_AT_ONCE
                while part := file.read(at_once):
                    parts.append(part)
        except (*ZIP_DAMAGE, _TooLargeError) as error:
            raise DataError(f"cannot read {self.root}/{name}: {reason(error)}") from error
        return b"".join(parts)

    def checksum(self, name: str) -> int:
        """Return the CRC-32 of a file's bytes, which the zip's list of files has."""
        return self._entries[name].CRC


class _TooLargeError(Exception):
    pass


def _check_size(size: int) -> None:
    if size > LARGEST_FILE:
        raise _TooLargeError(f"it has {size} bytes, more than {LARGEST_FILE}")


def open_tree(path: Path) -> FileTree:
    """List the files of a folder or a zip.

    Raises:
        DataError: `path`, the flag --data_path, is neither, or cannot be read.
    """
    try:
        is_folder, is_file, exists = path.is_dir(), path.is_file(), path.exists()
    except OSError as error:  # what it lies in is closed
        raise DataError(f"--data_path={path} cannot be read: {reason(error)}") from error
    if is_folder:
        return FolderTree(path)
    if is_file:
        return ZipTree(path)
    kind = "is neither a folder nor a file" if exists else "does not exist"
    raise DataError(f"--data_path={path} {kind}")


def fingerprint(files: Iterable[tuple[FileTree, str]]) -> str:
    """Return a short text that changes when the list of files, or one of them, does."""
    digest = hashlib.sha256()
    for tree, name in files:
        digest.update(f"{name}\0{tree.files[name]}\n".encode())
    return digest.hexdigest()[:16]
