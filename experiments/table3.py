"""The lower half of the paper's Table 3 on some data: meta-learners and baselines, 5-way.

Both are measured on the same held-out tasks, so that they compare task by task.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.baselines.measuring import finish_baselines
from experiments.baselines.plan import TITLES, BaselinesPlan, result_name
from experiments.experiment import Experiment
from experiments.image_tables import at_mode
from experiments.runs import Folders, finish

METHODS = {"mtnet": ("--use_T", "--use_M"), "maml": (), "tnet": ("--use_T",)}
# Of what `--only` chooses from, that which is no meta-learner's name.
BASELINES_PART = "baselines"


def meta_learners(common: Sequence[str], shots: Sequence[int]) -> dict[str, Experiment]:
    """Name, such as mtnet-1shot, -> the run of every method with every K.

    Args:
        common: flags of all.
        shots: the numbers K.
    """
    return {
        result_name(method, shot): Experiment(
            result_name(method, shot),
            (*common, f"--update_batch_size={shot}", *flags),
            shots=(shot,),
            masks=("sample", "mode"),
        )
        for shot in shots
        for method, flags in METHODS.items()
    }


def pairs(shots: Sequence[int]) -> list[tuple[str, str]]:
    """Whose results are compared: names of meta-learners, also at their masks' mode, and of
    baselines."""
    found = [
        (result_name(better, shot), result_name(other, shot))
        for shot in shots
        for better, other in (
            ("mtnet", "maml"),
            ("mtnet", "tnet"),
            ("tnet", "maml"),
            *itertools.product(METHODS, TITLES),
        )
    ]
    found += [
        (at_mode(result_name("mtnet", shot)), result_name(other, shot))
        for shot in shots
        for other in (*METHODS, *TITLES)
    ]
    return found


@dataclass(frozen=True)
class Table3:
    """What a table is made of.

    Attributes:
        experiments: the runs of the meta-learners by name, in their order.
        baselines: how those are measured.
    """

    experiments: Mapping[str, Experiment]
    baselines: BaselinesPlan

    def finish(
        self,
        parts: Sequence[str],
        folders: Folders,
        write_readme: Callable[["Table3", Path], None],
    ) -> None:
        """Finish some of it, and write its page after each.

        Args:
            parts: names of experiments, or `BASELINES_PART`.
            folders: of the results.
            write_readme: writes README.md of what is finished into the folder of the records.
        """
        for part in parts:
            if part == BASELINES_PART:
                finish_baselines(self.baselines, folders)
            else:
                finish(self.experiments[part], folders)
            write_readme(self, folders.records)
            print("wrote", folders.records / "README.md")
