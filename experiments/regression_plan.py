"""Which runs the regression results consist of, as flags of `main.py`."""

from collections.abc import Iterator
from dataclasses import dataclass

from experiments.experiment import Experiment

METHODS = {
    "MAML": (),
    "Meta-SGD": ("--meta_sgd",),
    "T-net": ("--use_T",),
    "MT-net": ("--use_T", "--use_M"),
}
BASELINES = ("oracle", "pretraining")
ALPHA = 0.01
ALPHAS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
SHOTS = (5, 10, 20)
ORDERS = (0, 1, 2, 3)
FITTED_ORDERS = (1, 3)
REDUCED_ITERATIONS = 3000
# Others than the tables' seeds, so that the test of a table's run is not one that made its bounds.
REDUCED_SEEDS = (100, 101, 102, 103, 104, 105)


@dataclass(frozen=True)
class Plan:
    """The experiments of every part.

    Attributes:
        seeds: number of seeds of the tables.
        figure4_seeds: number of seeds of Figure 4.
        iterations: of every run but the reduced ones.
    """

    seeds: int
    figure4_seeds: int
    iterations: int

    def sinusoid(self, method: str, alpha: float, seed: int) -> Experiment:
        """A run of Table 1 or 2; the two share those of `ALPHA`."""
        return Experiment(
            f"sinusoid-{_slug(method)}-alpha{alpha:g}-seed{seed}",
            (
                *METHODS[method],
                f"--update_lr={alpha:g}",
                f"--metatrain_iterations={self.iterations}",
                f"--seed={seed}",
            ),
            SHOTS if alpha == ALPHA else (10,),
        )

    def polynomial(self, method: str, order: int, seed: int) -> Experiment:
        """A run of Figure 4, or for its fits."""
        return Experiment(
            f"polynomial{order}-{_slug(method)}-seed{seed}",
            (
                "--datasource=polynomial",
                f"--poly_order={order}",
                *METHODS[method],
                f"--metatrain_iterations={self.iterations}",
                f"--seed={seed}",
            ),
        )

    def baseline(self, name: str, seed: int) -> Experiment:
        """The original MAML program's oracle, or its pretrained network."""
        flags = {
            "oracle": ("--baseline=oracle", f"--metatrain_iterations={self.iterations}"),
            "pretraining": (f"--pretrain_iterations={self.iterations}", "--metatrain_iterations=0"),
        }[name]
        return Experiment(f"sinusoid-{name}-seed{seed}", (*flags, f"--seed={seed}"), SHOTS)

    def reduced(self, seed: int) -> Experiment:
        """A short run of Table 1's MT-net, for the bounds that a test checks."""
        return Experiment(
            f"reduced-mtnet-seed{seed}",
            (*METHODS["MT-net"], f"--metatrain_iterations={REDUCED_ITERATIONS}", f"--seed={seed}"),
        )

    def table1(self, method: str) -> list[Experiment]:
        """All seeds of a method."""
        return [self.sinusoid(method, ALPHA, seed) for seed in range(self.seeds)]

    def table2(self, method: str, alpha: float) -> list[Experiment]:
        """All seeds of a method and step size."""
        return [self.sinusoid(method, alpha, seed) for seed in range(self.seeds)]

    def figure4(self, order: int) -> list[Experiment]:
        """All seeds of an order."""
        return [self.polynomial("MT-net", order, seed) for seed in range(self.figure4_seeds)]

    def baselines(self, name: str) -> list[Experiment]:
        """All seeds of a baseline."""
        return [self.baseline(name, seed) for seed in range(self.seeds)]

    def of_part(self, part: str) -> Iterator[Experiment]:
        """The experiments that a part of the results needs."""
        match part:
            case "table1" | "original_tasks":
                for method in METHODS:
                    yield from self.table1(method)
            case "table2":
                for alpha in ALPHAS:
                    yield from self.table2("MAML", alpha)
                    yield from self.table2("MT-net", alpha)
            case "figure4":
                for order in ORDERS:
                    yield from self.figure4(order)
            case "fits":
                for method in ("MAML", "MT-net"):
                    yield self.sinusoid(method, ALPHA, 0)
                    yield from (self.polynomial(method, order, 0) for order in FITTED_ORDERS)
            case "baselines":
                for name in BASELINES:
                    yield from self.baselines(name)
            case "metric":
                yield self.sinusoid("MT-net", ALPHA, 0)
            case "bounds":
                yield from (self.reduced(seed) for seed in REDUCED_SEEDS)


def _slug(method: str) -> str:
    return method.lower().replace("-", "")
