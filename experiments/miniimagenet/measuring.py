"""The parts of miniImagenet's results, finished one after the other."""

from collections.abc import Sequence

from experiments.experiment import Experiment
from experiments.miniimagenet.page import write_readme
from experiments.miniimagenet.plan import OTHER_PART, on_other_photographs
from experiments.other_data import other_source
from experiments.record import check_data, check_same_data, read_record
from experiments.runs import (
    Folders,
    begun,
    check_begun,
    fingerprint_of,
    measured,
    trained_run,
    written,
)
from experiments.table3 import Table3

TNET = "tnet-1shot"


def do(parts: Sequence[str], table: Table3, folders: Folders, other_path: str | None) -> None:
    """Finish parts, and write README.md after each.

    Args:
        parts: some of `plan.PARTS`.
        table: of the runs.
        folders: of the results; SavedModels are written if it has a folder for them.
        other_path: the photographs of `OTHER_PART`.

    Raises:
        UsageError: a run, or what is measured already, is of other data than that which is given;
            or a run has gone on too far, see `runs.trained_run`.
        TrainingInterrupted: a signal came; the same call goes on from there.
    """
    for part in parts:
        if part == OTHER_PART:
            if other_path is None:
                print("other: left out, --other_path names no photographs", flush=True)
                continue
            for finished in table.experiments.values():
                if read_record(finished, folders.records):
                    finish_on_other_photographs(finished, folders, other_path)
                    write_readme(table, folders.records)
            continue
        experiment = table.experiments.get(part)
        if experiment and part == TNET and not _is_there(experiment, folders):
            print(f"{part}: left out, {folders.workdir} has no run {experiment.run}", flush=True)
            continue
        table.finish([part], folders, write_readme)


def _is_there(experiment: Experiment, folders: Folders) -> bool:
    return begun(experiment, folders) or read_record(experiment, folders.records) is not None


def finish_on_other_photographs(experiment: Experiment, folders: Folders, other_path: str) -> None:
    """Measure the networks of a finished run on photographs of other classes, and record that.

    Args:
        experiment: of the run.
        folders: of its results; the record is written into `OTHER_PART` below theirs.
        other_path: folder or archive of the photographs.

    Raises:
        UsageError: the run is gone; or what is measured is of other photographs.
    """
    other, records = on_other_photographs(experiment), folders.records / OTHER_PART
    source = other_source(other.config, other_path, folders.cache_dir)
    data = fingerprint_of(source)
    if record := read_record(other, records):
        check_data(record, data, records)
        return
    check_same_data(records, data)
    check_begun(experiment, folders)
    trained = trained_run(experiment, folders)._replace(source=source)
    record, kept = measured(other, trained, folders)
    written(record, records, kept)
    print("wrote", records / f"{other.name}.json", flush=True)
