"""What a run found, as JSON-ready records and as Markdown tables."""

from dataclasses import asdict
from typing import Any

from benchmarks import operations
from benchmarks.check import worst
from benchmarks.contestants import ENTRIES
from benchmarks.session import REFERENCE, Session
from benchmarks.timing import Timing, pairwise_ratio

Record = dict[str, Any]


def record(session: Session, timings: list[Timing], machine: Record) -> Record:
    """Everything measured of one workload.

    GFLOP/s are those of `operations.count`, the same for every contestant whatever it computes; the
    share of the SGEMM rate is left out on a machine with a GPU, whose rate that is not.
    """
    flops = operations.total_flops(session.workload)
    ours = [timing for timing in timings if timing.label.startswith(f"{REFERENCE} ")]
    rows = []
    for timing in timings:
        gflops = flops / timing.median / 1e6
        rows.append(
            asdict(timing)
            | {
                "median": timing.median,
                "times_ours": {base.label: pairwise_ratio(timing, base) for base in ours},
                "gflops": gflops,
                "sgemm_fraction": None if machine["gpus"] else gflops / machine["sgemm_gflops"],
            }
        )
    return {
        "workload": asdict(session.workload),
        "gflop": flops / 1e9,
        "product_megabytes": operations.product_bytes(session.workload) / 1e6,
        "versions": {worker.label: worker.versions for worker in session.workers},
        "gradient_errors": session.gradient_errors,
        "skipped": session.skipped,
        "refused": session.refused,
        "timings": rows,
    }


def workload_table(name: str, result: Record) -> str:
    """Markdown: one row a contestant, fastest first."""
    rows = sorted(result["timings"], key=lambda row: row["median"])
    ours = [row["label"] for row in result["timings"] if row["label"].startswith(f"{REFERENCE} ")]
    header = ["contestant", "ms", "range", *(f"times {label}" for label in ours)]
    header += ["GFLOP/s", "of SGEMM", "peak MB", "first iteration s", "gradient error"]
    lines = [_row(header), _row(["---"] * len(header))]
    for row in rows:
        errors = result["gradient_errors"].get(row["label"])
        fraction = row["sgemm_fraction"]
        lines.append(
            _row(
                [
                    row["label"],
                    _number(row["median"]),
                    f"{_number(min(row['samples']))}-{_number(max(row['samples']))}",
                    *(f"{row['times_ours'][label]:.2f}" for label in ours),
                    f"{row['gflops']:.1f}",
                    "" if fraction is None else f"{fraction:.1%}",
                    "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
                    f"{row['first_ms'] / 1000:.1f}",
                    "reference" if errors is None else f"{worst(errors)[1]:.1e}",
                ]
            )
        )
    title = f"### {name}: {result['gflop']:.4g} GFLOP a meta-iteration"
    return "\n".join([title, "", *lines, *_remarks(result), ""])


def operations_table(name: str, result: Record) -> str:
    """Markdown: MFLOP of each layer and pass."""
    workload = _workload(result)
    lines = [
        f"### {name}: MFLOP",
        "",
        _row(["layer", "support forward", "inner backward", "double backward", "query", "total"]),
        _row(["---"] * 6),
    ]
    for layer in operations.count(workload):
        values = [*layer[1:], layer.total]
        lines.append(_row([str(layer.layer + 1), *(_number(value / 1e6) for value in values)]))
    lines.append(_row(["all", "", "", "", "", _number(operations.total_flops(workload) / 1e6)]))
    return "\n".join([*lines, ""])


def scaling_table(quantity: str, points: list[Record]) -> str:
    """Markdown: milliseconds and peak memory of each contestant for each value."""
    labels = list(dict.fromkeys(label for point in points for label in point["milliseconds"]))
    header = [quantity, "GFLOP", *(f"{label}, ms" for label in labels)]
    header += [f"{label}, MB" for label in labels]
    lines = [f"### Cost against {quantity}", "", _row(header), _row(["---"] * len(header))]
    for point in points:
        cells = [str(point["value"]), f"{point['gflop']:.2f}"]
        cells += [_number(point["milliseconds"].get(label)) for label in labels]
        cells += [_number(point["peak_mb"].get(label)) for label in labels]
        lines.append(_row(cells))
    failed = [f"- {point['value']}: {why}" for point in points for why in point["failed"]]
    return "\n".join([*lines, *failed, ""])


def contestants_table() -> str:
    """Markdown: who takes part."""
    lines = [_row(["contestant", "what it is"]), _row(["---", "---"])]
    lines += [_row([name, entry.description]) for name, entry in ENTRIES.items()]
    return "\n".join([*lines, ""])


def _remarks(result: Record) -> list[str]:
    remarks = [f"- skipped: {reason}" for reason in result["skipped"].values()]
    for label in result["refused"]:
        tensor, error = worst(result["gradient_errors"][label])
        remarks.append(f"- not timed: {label}, whose gradient of {tensor} differs by {error:.1e}")
    return ["", *remarks] if remarks else []


def _workload(result: Record) -> operations.Workload:
    return operations.Workload(**result["workload"])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
