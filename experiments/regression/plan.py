"""The runs that the regression results consist of, as flags of `main.py`."""

from dataclasses import dataclass

from experiments.experiment import Experiment

METHODS = {
    "MAML": (),
    "Meta-SGD": ("--meta_sgd",),
    "T-net": ("--use_T",),
    "MT-net": ("--use_T", "--use_M"),
}
ALPHA = 0.01
SHOTS = (5, 10, 20)


@dataclass(frozen=True)
class Plan:
    """How many runs there are, and how long they train.

    Attributes:
        seeds: of every row of the tables: 0, 1, ...
        networks: of every order and initial scale of Figure 4 that learned more than a constant.
        iterations: of every run but the short ones.
    """

    seeds: int
    networks: int
    iterations: int

    def sinusoid(self, method: str, alpha: float, seed: int) -> Experiment:
        """A run of Table 1 or 2; the two share those of `ALPHA`."""
        return Experiment(
            f"sinusoid-{slug(method)}-alpha{alpha:g}-seed{seed}",
            (
                *METHODS[method],
                f"--update_lr={alpha:g}",
                f"--metatrain_iterations={self.iterations}",
                f"--seed={seed}",
            ),
            SHOTS if alpha == ALPHA else (10,),
        )

    def sinusoids(self, method: str, alpha: float = ALPHA) -> list[Experiment]:
        """The runs of all seeds."""
        return [self.sinusoid(method, alpha, seed) for seed in range(self.seeds)]

    def polynomial(self, method: str, order: int, seed: int) -> Experiment:
        """A run on polynomials."""
        return Experiment(
            f"polynomial{order}-{slug(method)}-seed{seed}",
            (
                "--datasource=polynomial",
                f"--poly_order={order}",
                *METHODS[method],
                f"--metatrain_iterations={self.iterations}",
                f"--seed={seed}",
            ),
        )


def slug(method: str) -> str:
    """A method's name in the names of files."""
    return method.lower().replace("-", "")
