"""The page that shows the regression results: what was run, then every part's text."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.regression_runs import Result
from system.atomic_file import atomic_write

HEAD = """# Regression: the paper's Table 1, Table 2 and Figure 4

Written by `{command}`; nothing here is typed by hand. `runs/` has a file
for every run: its configuration, the flags of `main.py` that train it, the loss of every held-out
task after 0, 1, 5 and 10 inner steps, and the mask logits. Networks are trained for {iterations}
iterations with K = 10.

A figure is the mean squared error over the 600 held-out tasks of all its seeds (the tasks are the
same for every seed and method), with the 95 % interval 1.96 * std / sqrt(seeds * tasks) over all
these values. A task whose loss is nan or infinite is counted as diverged and makes the mean so,
too.

{made_by}
"""


def write_text(path: Path, text: str) -> None:
    """Write a file, complete or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_readme(
    output: Path, parts: Sequence[str], *, command: str, iterations: int, made_by: str
) -> None:
    """Join the texts of the parts that have one to README.md.

    Args:
        output: folder of the parts' texts, PART.md.
        parts: in their order.
        command: that makes all of it.
        iterations: number of iterations of a run.
        made_by: see `describe_machines`.
    """
    head = HEAD.format(command=command, iterations=f"{iterations:,}", made_by=made_by)
    files = [output / f"{part}.md" for part in parts]
    texts = [file.read_text() for file in files if file.exists()]
    write_text(output / "README.md", "\n".join([head, *texts]))


def describe_machines(results: Iterable[Result]) -> str:
    """Say with which versions, on which machine and in which time runs were made."""
    results = list(results)
    stacks = dict.fromkeys(
        "Python {python}, TensorFlow {tensorflow}, Keras {keras}, NumPy {numpy}, commit "
        "{git_commit}, on {machine}".format(**result.versions)
        for result in results
    )
    minutes = sum(result.seconds for result in results) / 60
    return f"{len(results)} runs, {minutes:.1f} minutes in all: {'; '.join(stacks)}."
