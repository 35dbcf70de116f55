"""The page that shows the regression results: every part's text, one after the other."""

import re
from collections.abc import Sequence
from pathlib import Path

from system.atomic_file import write_text
from system.files import read_text
from utils.errors import UsageError

HEAD = """# Regression: the paper's Table 1, Table 2 and Figure 4

Written by `{command}`; nothing here is typed by hand. `runs/` has a file for every run: its
configuration, the flags of `main.py` that train it, the loss of every held-out task after 0, 1, 5
and 10 inner steps, and the mask logits. Networks are trained for {iterations} iterations with
K = 10.

A figure is the mean squared error over 600 held-out tasks and all networks (one a seed; the tasks
are the same for all, each drawn by its number), with its 95 % interval. Networks share their tasks,
so the interval has two parts, the tasks' and the networks', each with its own quantile of Student's
t (`utils/reports/intervals.py`); with few networks the second is wide. The paper's intervals are
over the tasks of one network, and so too narrow by what another seed would change: "above" and
"below" say that two means differ by more than both intervals explain. A task whose loss is nan or
infinite is counted as diverged and makes the mean so, too.
"""


def check_command(output: Path, parts: Sequence[str], command: str) -> None:
    """Refuse a folder with the results of another plan, which would come onto one page.

    Args:
        output: folder of the page.
        parts: that there may be, PART.md.
        command: that makes what is to be written.

    Raises:
        UsageError: its page was written by another command, or there are parts without a page,
            which alone says of what plan they are.
    """
    page = output / "README.md"
    there = [part for part in parts if (output / f"{part}.md").exists()]
    if there and not page.exists():
        raise UsageError(
            f"{page} is missing, which says of what plan {there[0]}.md beside it is: name another "
            "--output and --workdir, or remove the parts, too"
        )
    found = (
        re.search(r"^Written by `(.+?)`", read_text(page), re.MULTILINE) if page.exists() else None
    )
    if found and found[1] != command:
        raise UsageError(
            f"{page} was written by {found[1]!r}: name another --output and --workdir, or remove "
            "it and the parts beside it, to write all of them anew"
        )


def write_page(output: Path, parts: Sequence[str], *, command: str, iterations: int) -> None:
    """Join the texts of the parts that have one to README.md.

    Args:
        output: folder of the parts' texts, PART.md.
        parts: in their order.
        command: that makes all of it.
        iterations: number of iterations of a run.
    """
    head = HEAD.format(command=command, iterations=f"{iterations:,}")
    files = [output / f"{part}.md" for part in parts]
    texts = [read_text(file) for file in files if file.exists()]
    write_text(output / "README.md", "\n".join([head, *texts]))
