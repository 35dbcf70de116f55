"""What must be so before TensorFlow and Matplotlib are imported; every program imports this first.

The variables are those that these read. One that the user has set is left as it is, but for those
with which nothing here runs or gives the same numbers: of another Keras than TensorFlow's own, of
the settings in a user's keras.json, and of a Matplotlib that shows its figures.
"""

import os
import sys
from types import TracebackType

# The number of a standard stream that is closed would go to the next file that is opened, such as a
# checkpoint, into which TensorFlow then writes what it has to say.
for _name, _mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
    if getattr(sys, _name) is None:
        setattr(sys, _name, open(os.devnull, _mode))  # noqa: SIM115  (as long as the process)

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.pop("TF_USE_LEGACY_KERAS", None)
os.environ["KERAS_HOME"] = os.devnull  # no folder, so that no keras.json is in it
# Figures are written to files alone, which needs no backend; a wrong one stops the import. That of
# a notebook, a module, shows what its cells draw.
if not os.environ.get("MPLBACKEND", "").startswith("module://"):
    os.environ.pop("MPLBACKEND", None)
os.environ["MATPLOTLIBRC"] = os.devnull
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# By itself TensorFlow uses oneDNN only on processors with instructions for neural networks. Others
# gain by it, too: benchmarks/README.md.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# One thread an operation and as many operations at a time as there are cores: for operations as
# small as a task's this is faster than several threads inside each (maml_tnet/kernels/parts.py).
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# TensorFlow takes seconds to import, in which Ctrl-C would show where it was.
sys.excepthook = _one_line
