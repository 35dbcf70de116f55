"""Downloads that leave a complete, verified file or none."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_generators.errors import ANOTHER_FOLDER, DataError, reason
from system.atomic_file import atomic_write
from system.progress import Progress

_CHUNK = 1 << 16


def download(
    url: str, target: Path, *, verify: Callable[[Path], str | None], timeout: float = 30.0
) -> None:
    """Fetch `url` into the file `target`, showing progress.

    Args:
        url: what to fetch.
        target: the file to make; it appears only when complete and verified.
        verify: looks at the downloaded file and says what is wrong with it, or None.
        timeout: seconds that the server may stay silent.

    Raises:
        DataError: no network, no such file, a server that falls silent or stops short, a file
            that is not what it should be, or a folder that cannot be written.
    """
    try:
        with (
            _open(url, timeout) as response,
            atomic_write(target) as file,
        ):
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else 0
            done = 0
            with Progress(f"Downloading {url}", total, "bytes") as progress:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    progress.update(done)
            if done < total:
                raise DataError(f"cannot download {url}: it ended after {done} of {total} bytes")
            file.flush()
            if problem := verify(Path(file.name)):
                raise DataError(f"cannot use what {url} sent: {problem}")
    except urllib.error.HTTPError as error:
        error.close()  # It is the open response.
        raise DataError(f"cannot download {url}: HTTP {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise DataError(f"cannot download {url}: no answer for {timeout:g} seconds") from error
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "filename", None) is not None:  # of the target's folder
            raise DataError(f"cannot write {target}: {reason(error)}; {ANOTHER_FOLDER}") from error
        why = getattr(error, "reason", error)
        raise DataError(f"cannot download {url} to {target}: {why}") from error


def _open(url: str, timeout: float) -> Any:
    try:
        return urllib.request.urlopen(url, timeout=timeout)
    except ValueError as error:  # of a proxy's address
        raise DataError(f"cannot download {url}: {reason(error)}") from error
