"""What an export may replace: an earlier export, and nothing that is another's."""

from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from maml_tnet.checksums import CHECKSUMS

EXTRA_FILES = "assets.extra"
# What exports of this and of earlier versions have.
FOLDERS = ("variables", "assets", EXTRA_FILES)
# What file managers of Windows write into folders; those of others begin with a dot.
CLUTTER = {"thumbs.db", "desktop.ini"}
_WRITTEN = {"saved_model.pb", "fingerprint.pb", *FOLDERS, CHECKSUMS}


def not_replaceable(folder: Path) -> str | None:
    """Why an export must not replace a folder.

    Every version's exports have a signature that takes `query_x`, by which they are told from the
    SavedModels of other programs.

    Returns:
        what is there, such as "is not a SavedModel"; None if an export may be written.

    Raises:
        OSError: the folder cannot be read.
    """
    if not folder.exists():
        return None
    file = folder / "saved_model.pb"
    if not file.is_file():
        return "exists and is not a SavedModel"
    try:
        graphs = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    except DecodeError:
        return "holds a SavedModel that is damaged"
    signatures = [signature for graph in graphs for signature in graph.signature_def.values()]
    if not any("query_x" in signature.inputs for signature in signatures):
        return "holds a SavedModel of another program"
    for entry in [*sorted(folder.iterdir()), *_not_listed(folder)]:
        name = entry.relative_to(folder).as_posix()
        is_clutter = entry.name.startswith(".") or entry.name.lower() in CLUTTER
        if name not in _WRITTEN and (entry.is_dir() or not is_clutter):
            return f"holds {name!a}, which no export wrote"
    return None


def _not_listed(folder: Path) -> list[Path]:
    """What lies in an export's folders and has no checksum, such as what a server is given there.

    Exports of version 0.2.0 and before have no checksums: of these it is nothing.
    """
    file = folder / CHECKSUMS
    if not file.is_file():
        return []
    listed = {line.partition("  ")[2] for line in file.read_text("utf-8", "replace").splitlines()}
    within = (path for name in FOLDERS for path in sorted((folder / name).rglob("*")))
    return [
        path
        for path in within
        if not path.is_dir() and path.relative_to(folder).as_posix() not in listed
    ]
