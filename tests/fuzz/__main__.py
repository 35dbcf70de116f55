"""Read many damaged files: `python -m tests.fuzz --cases=1000`; ends with 1 if one is a fault.

A fault is a traceback, a hang, a refusal that is not one line with the file's name, or, where the
file carries a checksum, another answer.
"""

import argparse
import collections
import sys
import traceback

import utils.tensorflow_environment  # noqa: F401

from .cases import CASES, Hang, outcome


def main() -> int:
    """Run the cases that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="number of each kind of file")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other damage")
    parser.add_argument("--only", choices=sorted(CASES), help="one kind of file alone")
    options = parser.parse_args()
    faults = 0
    for name in [options.only] if options.only else CASES:
        counts: collections.Counter[str] = collections.Counter()
        for number in range(options.cases):
            try:
                counts[outcome(name, number, options.seed)] += 1
            except (Exception, Hang):  # Whatever a reader raises is what is looked for.
                counts["fault"] += 1
                print(f"FAULT {name} {number} of seed {options.seed}", file=sys.stderr)
                traceback.print_exc()
        faults += counts["fault"]
        print(
            f"{name}: {', '.join(f'{n} {what}' for what, n in sorted(counts.items()))}", flush=True
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
