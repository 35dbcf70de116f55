"""What is timed: the paper's recipes, and the shapes of their networks."""

from dataclasses import dataclass
from typing import NamedTuple


class LayerShape(NamedTuple):
    """One layer of a network, on one example.

    Attributes:
        taps: kernel positions a product sums over: 9 for a 3x3 convolution, 1 if dense.
        inputs: input features.
        units: output features.
        positions: output positions, 1 if dense.
    """

    taps: int
    inputs: int
    units: int
    positions: int


@dataclass(frozen=True)
class Workload:
    """One kind of meta-iteration.

    Attributes:
        name: for the command line and the tables.
        datasource: "omniglot", "miniimagenet" or "sinusoid".
        method: "mtnet" (T in every layer and one mask per unit) or "maml" (neither).
        tasks: the meta-batch.
        way: classes; outputs of the network. 1 for regression.
        shot: support examples per class.
        query: query examples per class.
        inner_steps: second-order gradient steps of a task.
        alpha: their size.
        units: filters, or hidden units.
    """

    name: str
    datasource: str
    method: str
    tasks: int
    way: int
    shot: int
    query: int
    inner_steps: int
    alpha: float
    units: int

    @property
    def is_classification(self) -> bool:
        """Whether the loss is cross-entropy and the network convolutional."""
        return self.datasource != "sinusoid"

    @property
    def max_pool(self) -> bool:
        """Whether blocks pool the outputs of stride 1 and the head sees all positions."""
        return self.datasource == "miniimagenet"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return (84, 84, 3) if self.max_pool else (28, 28, 1)

    @property
    def is_mtnet(self) -> bool:
        """Whether layers have T and masks."""
        return self.method == "mtnet"

    @property
    def support(self) -> int:
        """Support examples of a task."""
        return self.way * self.shot

    @property
    def queries(self) -> int:
        """Query examples of a task."""
        return self.way * self.query

    @property
    def layers(self) -> list[LayerShape]:
        """The network's layers from input to output."""
        if not self.is_classification:
            widths = [1, self.units, self.units, 1]
            return [LayerShape(1, widths[i], widths[i + 1], 1) for i in range(3)]
        side, _, inputs = self.image_shape
        blocks = []
        for _ in range(4):
            outputs = side if self.max_pool else (side + 1) // 2
            blocks.append(LayerShape(9, inputs, self.units, outputs * outputs))
            side, inputs = (outputs // 2 if self.max_pool else outputs), self.units
        features = side * side * self.units if self.max_pool else self.units
        return [*blocks, LayerShape(1, features, self.way, 1)]

    @property
    def has_bias(self) -> list[bool]:
        """Per layer: batch normalization removes a convolution's b, so nobody computes it."""
        return [layer.taps == 1 for layer in self.layers]


def omniglot(name: str, method: str, *, way: int, tasks: int, alpha: float) -> Workload:
    """Section 6.4, 1-shot, 64 filters, one inner step."""
    return Workload(name, "omniglot", method, tasks, way, 1, 1, 1, alpha, 64)


def miniimagenet(name: str, *, inner_steps: int) -> Workload:
    """Section 6.4, MT-net, 4 tasks of 5-way 1-shot, 15 queries a class, 32 filters."""
    return Workload(name, "miniimagenet", "mtnet", 4, 5, 1, 15, inner_steps, 0.01, 32)


def sinusoid(name: str, method: str) -> Workload:
    """Section 6.1, 4 tasks, 10 + 10 points, 40 hidden units, one inner step."""
    return Workload(name, "sinusoid", method, 4, 1, 10, 10, 1, 0.01, 40)


WORKLOADS = {
    workload.name: workload
    for workload in (
        omniglot("omniglot-5way-mtnet", "mtnet", way=5, tasks=32, alpha=0.4),
        omniglot("omniglot-20way-mtnet", "mtnet", way=20, tasks=16, alpha=0.1),
        omniglot("omniglot-5way-maml", "maml", way=5, tasks=32, alpha=0.4),
        omniglot("omniglot-20way-maml", "maml", way=20, tasks=16, alpha=0.1),
        miniimagenet("miniimagenet-1step-mtnet", inner_steps=1),
        miniimagenet("miniimagenet-5steps-mtnet", inner_steps=5),
        sinusoid("sinusoid-mtnet", "mtnet"),
        sinusoid("sinusoid-maml", "maml"),
    )
}
