"""The formats of images that are read, told by the suffixes of their files."""

from PIL import Image

Image.init()
# Pillow only knows what these are, or has another program (Ghostscript) draw them.
_NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
FORMATS = [name for name in Image.ID if name not in _NOT_READ]
SUFFIXES = tuple(
    suffix for suffix, name in Image.registered_extensions().items() if name in {*FORMATS, "MPO"}
)


def is_image(name: str) -> bool:
    """Whether `read_image` reads files of this name's suffix."""
    return name.lower().endswith(SUFFIXES)
