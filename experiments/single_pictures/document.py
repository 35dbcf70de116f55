"""What is measured of a run, as its JSON file has it, and the page beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.documents import (
    Document,
    entry,
    numbers,
    parsed,
    read_document,
    rounded,
    write_document,
)
from experiments.omniglot import EXPERIMENTS as PAPERS
from experiments.single_pictures.page import page
from experiments.single_pictures.plan import Plan
from experiments.single_pictures.probabilities import WORTH
from experiments.single_pictures.steps import chosen_steps, measured_after
from system.atomic_file import write_text
from utils.command.configuration import Config
from utils.errors import UsageError

# What the file of all versions has.
KEYS = ("configuration", "cells")
# What the cells that are stored must have been measured with.
MEASURED = ("configuration", "data", "iteration", "tasks", "fitted_ways")


class Results:
    """The results so far; the file and the page are written after each.

    Attributes:
        other_data: fingerprint of the pictures of the other kind; None where it is not known.
        cells: accuracies, [tasks, steps + 1] by name, of each cell and of the paper's runs.
        probabilities: of each cell, what they are worth after `steps` inner steps.
        validation: accuracies of validation tasks, [tasks, steps + 1], by which `steps` is chosen.
    """

    def __init__(self, output: Path, config: Config, plan: Plan, head: Document) -> None:
        """Go on with what the file has.

        Args:
            output: folder of the file and the page.
            config: of the run.
            plan: of what is measured.
            head: what the file says of the run and of how it is measured.

        Raises:
            UsageError: what is stored was measured otherwise.
            FileError: the file is damaged, or something else.
        """
        self._output, self._config, self._plan, self._head = output, config, plan, head
        self._file = output / f"{config.run_name}.json"
        stored = read_document(self._file, KEYS) or {}
        differing = [key for key in MEASURED if stored and stored.get(key) != head[key]]
        if differing:  # it may have taken hours
            raise UsageError(
                f"{self._file} was measured with other {', '.join(differing)}: name another "
                "--output, or remove it to measure again"
            )
        if stored:
            parsed(self._file, lambda: check_form(stored, config, plan))
        if stored and "trained_with" not in stored:  # version 0.5.0 did not note it
            write_document(self._file, stored | {"trained_with": head["trained_with"]})
        self.other_data: str | None = stored.get("other_data")
        self.cells: Document = stored.get("cells", {})
        self.probabilities: Document = stored.get("probabilities", {})
        self.validation: Document = stored.get("validation", {})

    def check_other(self, data: str | None, cells: Sequence[str]) -> None:
        """Refuse other pictures of the other kind than those of the cells that are stored.

        Files of version 0.6.0 and before do not say theirs: they are taken to be these, and say so
        from now on.

        Args:
            data: fingerprint of those that are given.
            cells: names of those that have such pictures.

        Raises:
            UsageError: they are others.
        """
        if self.other_data not in (None, data):
            raise UsageError(
                f"{self._file} was measured with other pictures of the other kind: give these by "
                "--other_path, or name another --output"
            )
        if self.other_data is None and not self.cells.keys().isdisjoint(cells):
            print(
                f"{self._file} does not say of what pictures of the other kind it is: they are "
                "taken to be these",
                flush=True,
            )
            stored = read_document(self._file) or {}
            write_document(self._file, stored | {"other_data": data})
        self.other_data = data

    @property
    def steps(self) -> int:
        """The inner steps that the model takes."""
        return chosen_steps(self.validation, self._config.num_updates)

    def forget_probabilities_after_other_steps(self) -> None:
        """Have them measured again if `steps` has changed."""
        trained = self._config.num_updates
        self.probabilities = measured_after(self.steps, self.probabilities, trained)

    def keep_cell(self, name: str, found: Mapping[str, np.ndarray]) -> None:
        """Add the accuracies of a cell."""
        self.cells[name] = {kind: rounded(values) for kind, values in found.items()}
        self._write(name)

    def keep_probabilities(self, name: str, found: Mapping[str, float]) -> None:
        """Add what the probabilities of a cell are worth."""
        self.probabilities[name] = dict(found)
        self._write(f"the probabilities of {name}")

    def keep_validation(self, name: str, accuracies: np.ndarray) -> None:
        """Add the accuracies of a cell's validation tasks."""
        self.validation[name] = rounded(accuracies)
        self._write(f"{name}, on validation classes")

    def _write(self, what: str) -> None:
        document = self._head | {
            "other_data": self.other_data,
            "cells": self.cells,
            "probabilities": self.probabilities,
            "validation": self.validation,
        }
        write_document(self._file, document)
        write_text(self._output / "README.md", page(self._config, document, self._plan))
        print("measured", what, flush=True)


def check_form(document: Document, config: Config, plan: Plan) -> None:
    """Check that a file's document is one of which the page can be made.

    Raises one of `NOT_OF_THIS_FORM` where it is not.

    Args:
        document: what the file has; what is not measured yet may be missing.
        config: of its run.
        plan: of what is measured.
    """
    after = max(plan.steps, config.num_updates) + 1
    cells = entry(document, "cells", dict)
    for name in cells:
        found = entry(cells, name, dict)
        for kind in ("accuracy", "accuracy_alone") if name in PAPERS else ("accuracy",):
            numbers(found, kind, (plan.tasks, None if name in PAPERS else after))
    validation = entry({"validation": {}, **document}, "validation", dict)
    for name in validation:
        numbers(validation, name, (plan.tasks, after))
    probabilities = entry({"probabilities": {}, **document}, "probabilities", dict)
    for name in probabilities:
        found = {"steps": config.num_updates, **entry(probabilities, name, dict)}
        for kind in WORTH:
            numbers(found, kind, ())
    if document.get("other_data") is not None:
        entry(document, "other_data", str)


def check_page(output: Path, name: str) -> None:
    """Raise a UsageError if a folder's page is of another run than that of this name."""
    others = [file.name for file in sorted(output.glob("*.json")) if file.stem != name]
    if others:
        raise UsageError(
            f"--output={output} has the page of another run, {others[0]}: name another folder"
        )
