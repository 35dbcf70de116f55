"""The benchmark's command: `python -m benchmarks.run`, see README.md."""

import argparse
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, operations, report, scaling, session
from benchmarks.arguments import data, folder, number
from benchmarks.contestants import ENTRIES
from benchmarks.timing import measure
from benchmarks.worker_client import WorkerError
from benchmarks.workloads import WORKLOADS, Workload
from system.atomic_file import write_text


def parse_flags(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description="Time ours and its peers in turn, in one run."
    )
    parser.add_argument(
        "--workloads", nargs="*", choices=WORKLOADS, default=list(WORKLOADS), help="none to skip"
    )
    parser.add_argument("--contestants", nargs="+", choices=ENTRIES, default=list(ENTRIES))
    parser.add_argument(
        "--scaling",
        nargs="*",
        choices=scaling.VALUES,
        default=list(scaling.VALUES),
        help="quantities to grow; none to skip",
    )
    parser.add_argument(
        "--scaling_contestants", nargs="+", choices=ENTRIES, default=["ours", "jax"]
    )
    parser.add_argument("--repeats", type=number(int, 1, 10_000), default=9, help="rounds of A B C")
    parser.add_argument(
        "--seconds", type=number(float, 0.001, 3_600), default=2.0, help="least length of a sample"
    )
    parser.add_argument(
        "--python_ours",
        nargs="+",
        default=[sys.executable],
        help="interpreters with TensorFlow, one for each stack; the first is the reference",
    )
    parser.add_argument(
        "--python_peers", default=sys.executable, help="the interpreter with requirements.txt"
    )
    parser.add_argument(
        "--data_path",
        type=data,
        default=os.environ.get("OMNIGLOT_PATH") or None,
        help="folder of Omniglot's files (default: $OMNIGLOT_PATH, or else synthetic images)",
    )
    parser.add_argument("--output", type=folder, default=Path("benchmarks/results"))
    return parser.parse_args(arguments)


def time_workload(workload: Workload, contestants: list[str], flags: argparse.Namespace) -> Any:
    """Check and time one workload: its session, closed again, and the timings."""
    interpreters = session.Interpreters(flags.python_ours, flags.python_peers)
    data_path = os.path.abspath(flags.data_path) if flags.data_path else None
    with session.start(workload, contestants, interpreters, data_path) as started:
        timings = measure(started.workers, repeats=flags.repeats, seconds=flags.seconds)
    return started, timings


def scaling_point(value: int, workload: Workload, flags: argparse.Namespace) -> report.Record:
    """Time one value of one quantity; a contestant that fails leaves its place empty."""
    point: report.Record = {
        "value": value,
        "gflop": operations.total_flops(workload) / 1e9,
        "milliseconds": {},
        "samples": {},
        "peak_mb": {},
        "failed": [],
    }
    try:
        started, timings = time_workload(workload, flags.scaling_contestants, flags)
    except WorkerError as error:
        point["failed"].append(str(error))
        return point
    point["failed"] += [*started.skipped.values(), *started.refused]
    for timing in timings:
        point["milliseconds"][timing.label] = timing.median
        point["samples"][timing.label] = timing.samples
        point["peak_mb"][timing.label] = timing.peak_mb
    return point


def main(arguments: list[str]) -> int:
    """Run, print tables, write results.json, results.md and scaling.png; 1 if a check failed."""
    flags = parse_flags(arguments)
    flags.output.mkdir(parents=True, exist_ok=True)
    tables: list[str] = []
    results: report.Record = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "images": "Omniglot" if flags.data_path else "synthetic",
        "repeats": flags.repeats,
        "seconds": flags.seconds,
        "workloads": {},
        "scaling": {},
    }

    def publish(table: str) -> None:
        print(table, flush=True)
        tables.append(table)
        # After every table, so that a run that is stopped leaves what it has; and not before there
        # is something, as it takes the place of earlier results.
        if results["workloads"] or any(results["scaling"].values()):
            write_text(flags.output / "results.json", json.dumps(results, indent=1) + "\n")
            write_text(flags.output / "results.md", "\n".join(tables))

    found = results["machine"]
    publish(
        f"{found['cpu']}, {found['cores']} cores, SGEMM {found['sgemm_gflops']:.0f} GFLOP/s; "
        f"GPUs: {', '.join(found['gpus']) or 'none'}; {results['images']} images; "
        f"{flags.repeats} rounds\n"
    )
    if machine.peak_megabytes([os.getpid()]) is None:
        publish(f"{machine.NO_PEAK}\n")
    publish(report.contestants_table())
    for name in flags.workloads:
        started, timings = time_workload(WORKLOADS[name], flags.contestants, flags)
        results["workloads"][name] = report.record(started, timings, found)
        publish(report.workload_table(name, results["workloads"][name]))
        publish(report.operations_table(name, results["workloads"][name]))
    for quantity in flags.scaling:
        points = results["scaling"].setdefault(quantity, [])
        for value, workload in scaling.workloads(quantity):
            points.append(scaling_point(value, workload, flags))
        publish(report.scaling_table(quantity, points))
    if flags.scaling:
        from benchmarks.plot import scaling_plot  # needs matplotlib, which the rest does not

        scaling_plot(results["scaling"], flags.output / "scaling.png")
    return int(any(result["refused"] for result in results["workloads"].values()))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (WorkerError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
