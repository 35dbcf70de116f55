"""How every program ends: its work, and what went wrong with it as one line and a code."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable

import tensorflow as tf

from data_generators import DataError
from data_generators.errors import legible
from maml_tnet import ExportError
from maml_tnet.checksums import UnreadableError
from system.errors import FileError
from utils.command.refusals import in_words
from utils.errors import SIGPIPE, PeerLost, TrainingInterrupted, UsageError

# Where another process was lost. Kubernetes' training operator takes 1 to 127 as errors for good,
# starts what ended by a signal again, and this, which it leaves to programs.
TRY_AGAIN = 138
TOO_LARGE = os.strerror(errno.EFBIG)
# Bad input, and what the system refuses.
REFUSED = (
    *(UsageError, DataError, ExportError, FileError, UnreadableError),
    *(OSError, tf.errors.PermissionDeniedError, tf.errors.ResourceExhaustedError),
)


def exit_code(work: Callable[[], None]) -> int:
    """Do a program's work and return the code that its process ends with.

    0 when it is done, 2 after bad input or data and what the system refuses, such as a full disk;
    128 and the signal's number when one stopped it, as shells have it. Whatever is not 0 is said in
    one line on the standard error. An error of the program's own keeps its traceback. 138 where
    another process of the run was lost, and starting all of them again is the way on. 141, as for
    SIGPIPE, where nobody reads the standard output any more.
    """
    tf.get_logger().setLevel("ERROR")  # what it warns of is ours to say, in one line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # Names of classes may not be in its encoding.
            stream.reconfigure(errors="backslashreplace")
    try:
        work()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes what is left when it ends, which would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(
            "the standard output was closed; nothing but the last checkpoint is saved",
            file=sys.stderr,
        )
        return 128 + SIGPIPE
    except TrainingInterrupted as stop:
        print(f"{stop}: the same command goes on from there", file=sys.stderr)
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        print("interrupted; nothing but the last checkpoint is saved", file=sys.stderr)
        return 128 + signal.SIGINT
    except PeerLost as error:
        print(f"error: {error}", file=sys.stderr)
        return TRY_AGAIN
    except (*REFUSED, tf.errors.OutOfRangeError) as error:
        if isinstance(error, tf.errors.OutOfRangeError) and TOO_LARGE not in str(error):
            raise  # of a dataset of ours
        print(f"error: {legible(in_words(error))}", file=sys.stderr)
        return 2
    return 0
