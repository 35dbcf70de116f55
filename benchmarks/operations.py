"""Operations and bytes of one meta-iteration, counted on paper; README.md derives the counts."""

from typing import NamedTuple

from benchmarks.workloads import LayerShape, Workload

FLOAT32 = 4  # bytes


class Passes(NamedTuple):
    """How often a product is done, in one meta-iteration with S inner steps.

    Attributes:
        support: forward, S times.
        inner: products of the inner backward passes.
        double: products of the backward passes through both.
        query: forward and backward, once.
    """

    support: int
    inner: int
    double: int
    query: int


def kernel_passes(workload: Workload, index: int) -> Passes:
    """Of a layer's product x W. The first layer's input is data: nothing flows back into it."""
    steps = workload.inner_steps
    if index == 0:
        return Passes(steps, steps, 2 * steps, 2)
    return Passes(steps, 2 * steps, 6 * steps, 3)


def transform_passes(workload: Workload) -> Passes:
    """Of a layer's product y T. The inner step has no gradient of T."""
    steps = workload.inner_steps
    return Passes(steps, steps, 4 * steps, 3)


def kernel_flops(layer: LayerShape) -> int:
    """Of one pass of x W over one example, taps in the padding counted."""
    return 2 * layer.positions * layer.taps * layer.inputs * layer.units


def transform_rows(layer: LayerShape, examples: int) -> int:
    """What a task multiplies by T: its outputs y or, where it has fewer rows, its kernel W."""
    outputs = examples * layer.positions
    return outputs if layer.taps == 1 else min(outputs, layer.taps * layer.inputs)


class Operations(NamedTuple):
    """One layer's FLOP, kernel and transform together, by pass."""

    layer: int
    support: float
    inner: float
    double: float
    query: float

    @property
    def total(self) -> float:
        """Sum of the passes."""
        return self.support + self.inner + self.double + self.query


def count(workload: Workload) -> list[Operations]:
    """FLOP of the matrix products and convolutions of one meta-iteration, layer by layer.

    Normalization, ReLU, masks, losses and Adam are not counted.
    """
    result = []
    for i, layer in enumerate(workload.layers):
        examples = [workload.support] * 3 + [workload.queries]
        totals = [
            float(passes * workload.tasks * n * kernel_flops(layer))
            for passes, n in zip(kernel_passes(workload, i), examples, strict=True)
        ]
        if workload.is_mtnet:
            for j, (passes, n) in enumerate(zip(transform_passes(workload), examples, strict=True)):
                flops = 2 * transform_rows(layer, n) * layer.units**2
                totals[j] += passes * workload.tasks * flops
        result.append(Operations(i, *totals))
    return result


def total_flops(workload: Workload) -> float:
    """FLOP of one meta-iteration."""
    return sum(layer.total for layer in count(workload))


def product_bytes(workload: Workload) -> float:
    """Bytes that the products of one meta-iteration must move if nothing stays in a cache.

    A pass touches three arrays once: the layer's input, its kernel (one a task) and its output.
    """
    total = 0.0
    height, width, _ = workload.image_shape if workload.is_classification else (1, 1, 1)
    positions_in = height * width
    for i, layer in enumerate(workload.layers):
        kernel = kernel_passes(workload, i)
        examples = [workload.support] * 3 + [workload.queries]
        weight = layer.taps * layer.inputs * layer.units
        for passes, n in zip(kernel, examples, strict=True):
            x, y = n * positions_in * layer.inputs, n * layer.positions * layer.units
            total += passes * workload.tasks * FLOAT32 * (x + weight + y)
        if workload.is_mtnet:
            for passes, n in zip(transform_passes(workload), examples, strict=True):
                y = transform_rows(layer, n) * layer.units
                total += passes * FLOAT32 * (2 * workload.tasks * y + layer.units**2)
        positions_in = layer.positions // 4 if workload.max_pool else layer.positions
    return total
