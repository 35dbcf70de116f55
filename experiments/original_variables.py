"""What the checkpoints of the original MAML and MT-net programs hold, and where it belongs here.

Facts read from `cbfinn/maml` and `yoonholee/MT-net` (`maml.py`, `utils.py`). Both save their
trainable variables with `tf.train.Saver`, all below the scope `model`:

- regression: nothing has a name of its own. `Variable`, `Variable_1`, ..., `Variable_5` are
  W and b of the first, second and third layer.
- images: `conv1` to `conv4` and `w5` are the W of the layers, `b5` is the head's b, and
  `Variable`, ..., `Variable_3` are the convolutions' b. `0/beta` to `3/beta` are the offsets of
  batch normalization. `w5` has one row per filter for Omniglot and 25 (5 x 5 positions) for
  miniImagenet.
- MT-net goes on counting: first the mask logits of all layers, then every layer's T. Shared masks
  are one vector a layer; otherwise it is one for W, flattened, and one for b. T is a square matrix,
  for a convolution a 1x1 kernel, and multiplies from the right, as here.

Neither program has Meta-SGD. MT-net's cannot train unshared masks on Omniglot, as it makes no
logits of b there.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from maml_tnet.patterns import readable_prefix
from maml_tnet.task_network import TaskNetwork
from utils.errors import UsageError, one_line

REGRESSION, OMNIGLOT, MINIIMAGENET = "regression", "omniglot", "miniimagenet"
BLOCKS = 4
MINIIMAGENET_POSITIONS = 25  # of 84 x 84 pixels after four times of 2x2 max pooling
# What TensorFlow raises for files that are cut short or otherwise damaged.
DAMAGE = (tf.errors.OpError, IndexError, RuntimeError, ValueError)
METHODS = [(T, M) for T in (False, True) for M in (None, "unit", "weight")]

KERNEL, BIAS, TRANSFORM, BETA = "W", "b", "T", "beta"
UNIT_LOGITS, KERNEL_LOGITS, BIAS_LOGITS = "mask logits", "mask logits of W", "mask logits of b"

Shape = tuple[int, ...]


class Place(NamedTuple):
    """Where a variable of the original belongs.

    Attributes:
        part: W, b, T, mask logits or beta.
        layer: its number, from 0.
    """

    part: str
    layer: int


class Variable(NamedTuple):
    """A variable that a checkpoint must hold."""

    name: str
    place: Place
    shape: Shape


@dataclass(frozen=True)
class OriginalNetwork:
    """A network of the original programs.

    Attributes:
        kind: "regression", "omniglot" or "miniimagenet".
        inputs: features, or channels of the images.
        units: of the hidden layers, or filters.
        outputs: of an example; the way N.
        use_batch_norm: whether the convolutions are normalized.
        use_transform: whether the layers have a T.
        mask_per: None, "unit" (shared masks) or "weight".
        values: all weights.
    """

    kind: str
    inputs: int
    units: int
    outputs: int
    use_batch_norm: bool
    use_transform: bool
    mask_per: str | None
    values: Mapping[Place, np.ndarray]

    def assign_to(self, network: TaskNetwork) -> None:
        """Give a network of the same kind and sizes these weights.

        The b of normalized convolutions, which changes nothing, has no place there and is left out.
        """
        for number, layer in enumerate(network.transform_layers):
            variables = {KERNEL: layer.kernel, BIAS: layer.bias, TRANSFORM: layer.transform}
            parts = [UNIT_LOGITS] if self.mask_per == "unit" else [KERNEL_LOGITS, BIAS_LOGITS]
            variables.update(zip(parts, layer.mask_logits, strict=False))
            for part, variable in variables.items():
                if variable is not None:
                    variable.assign(self.values[Place(part, number)].reshape(variable.shape))
        for number, normalization in enumerate(getattr(network, "normalizations", [])):
            normalization.beta.assign(self.values[Place(BETA, number)])


def read_original(checkpoint: str) -> OriginalNetwork:
    """Read a checkpoint; what it is of is seen from the names and shapes of its variables.

    Args:
        checkpoint: its path without suffix, or one of its files.

    Raises:
        UsageError: it cannot be read, or is of something else.
    """
    with readable_prefix(_prefix(checkpoint)) as prefix:
        return _read(prefix, f"--checkpoint={checkpoint}")


def _read(prefix: str, flag: str) -> OriginalNetwork:
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = {name: tuple(s) for name, s in reader.get_variable_to_shape_map().items()}
    except DAMAGE as error:
        raise UsageError(f"{flag} is not a TensorFlow checkpoint: {one_line(error)}") from error
    if "model/conv1" in shapes:
        network, layouts = _image_network(flag, shapes)
    elif "model/Variable" in shapes:
        network, layouts = _regression_network(flag, shapes)
    else:
        raise UsageError(
            f"{flag} is not of the original MAML or MT-net program, which has a variable "
            f"model/conv1 or model/Variable; this one has {', '.join(sorted(shapes)[:3]) or 'none'}"
        )
    faults = [_first_fault(layout, shapes) for layout in layouts]
    if None not in faults:
        # Of the layout that it fits longest.
        _, fault = max(filter(None, faults), key=lambda found: found[0])
        raise UsageError(f"{flag} fits no network of ours: {fault}")
    fitting = faults.index(None)
    use_transform, mask_per = METHODS[fitting]
    try:
        values = {place: reader.get_tensor(name) for name, place, _ in layouts[fitting]}
    except DAMAGE as error:
        raise UsageError(f"{flag} is damaged: {one_line(error)}") from error
    for name, place, _ in layouts[fitting]:
        if values[place].dtype != np.float32 or not np.all(np.isfinite(values[place])):
            raise UsageError(f"{flag}: {name} holds something else than finite float32 numbers")
    return OriginalNetwork(**network, use_transform=use_transform, mask_per=mask_per, values=values)


def _prefix(checkpoint: str) -> str:
    """The checkpoint's path without suffix, whose files are there."""
    path = str(Path(checkpoint).expanduser())
    prefix = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path)
    if Path(f"{prefix}.index").is_file():
        for file in Path(prefix).parent.iterdir():
            if file.name.startswith(f"{Path(prefix).name}.data-") and not file.is_file():
                raise UsageError(f"--checkpoint={checkpoint} is damaged: {file} is no file")
        return prefix
    if Path(path).is_dir():
        inside = sorted(file.stem for file in Path(path).glob("*.index"))
        example = f"one of its checkpoints, such as {path}/{inside[-1]}" if inside else "another"
        raise UsageError(f"--checkpoint={checkpoint} is a folder: name {example}")
    if Path(path).is_file():
        raise UsageError(
            f"--checkpoint={checkpoint} is a single file: a checkpoint is the files NAME.index and "
            "NAME.data-00000-of-00001, as tf.train.Saver writes them since TensorFlow 1.0"
        )
    raise UsageError(
        f"--checkpoint={checkpoint} does not exist: a checkpoint is the files NAME.index and "
        f"NAME.data-00000-of-00001, and there is no {prefix}.index"
    )


def _regression_network(
    flag: str, shapes: Mapping[str, Shape]
) -> tuple[dict[str, Any], list[list[Variable]]]:
    """What the network is, and the variables that it has with each of `METHODS`."""
    inputs, units = _shape(flag, shapes, "model/Variable", 2)
    _, outputs = _shape(flag, shapes, "model/Variable_4", 2)
    kernels = [(inputs, units), (units, units), (units, outputs)]
    unnamed = [
        (Place(part, layer), shape)
        for layer, kernel in enumerate(kernels)
        for part, shape in ((KERNEL, kernel), (BIAS, kernel[-1:]))
    ]
    network = {
        "kind": REGRESSION,
        "inputs": inputs,
        "units": units,
        "outputs": outputs,
        "use_batch_norm": False,
    }
    return network, [_numbered(unnamed + _of_method(kernels, *method)) for method in METHODS]


def _image_network(
    flag: str, shapes: Mapping[str, Shape]
) -> tuple[dict[str, Any], list[list[Variable]]]:
    """What the network is, and the variables that it has with each of `METHODS`."""
    _, _, channels, filters = _shape(flag, shapes, "model/conv1", 4)
    _, way = _shape(flag, shapes, "model/w5", 2)
    kinds = {1: (OMNIGLOT, filters), 3: (MINIIMAGENET, MINIIMAGENET_POSITIONS * filters)}
    if channels not in kinds:
        raise UsageError(
            f"{flag}: model/conv1 is for images of {channels} channels; Omniglot has 1, "
            "miniImagenet 3"
        )
    kind, features = kinds[channels]
    kernels: list[Shape] = [(3, 3, channels, filters), *[(3, 3, filters, filters)] * (BLOCKS - 1)]
    kernels.append((features, way))
    named = [
        Variable(f"model/{name}", Place(KERNEL, layer), kernels[layer])
        for layer, name in enumerate(("conv1", "conv2", "conv3", "conv4", "w5"))
    ]
    named.append(Variable("model/b5", Place(BIAS, BLOCKS), (way,)))
    use_batch_norm = any(name.endswith("/beta") for name in shapes)
    if use_batch_norm:
        named += [
            Variable(f"model/{block}/beta", Place(BETA, block), (filters,))
            for block in range(BLOCKS)
        ]
    biases: list[tuple[Place, Shape]] = [
        (Place(BIAS, block), (filters,)) for block in range(BLOCKS)
    ]
    network = {
        "kind": kind,
        "inputs": channels,
        "units": filters,
        "outputs": way,
        "use_batch_norm": use_batch_norm,
    }
    return network, [named + _numbered(biases + _of_method(kernels, *method)) for method in METHODS]


def _of_method(
    kernels: Sequence[Shape], use_transform: bool, mask_per: str | None
) -> list[tuple[Place, Shape]]:
    """Mask logits and T of the layers that have these kernels, in the original's order."""
    found: list[tuple[Place, Shape]] = []
    for layer, kernel in enumerate(kernels):
        if mask_per == "unit":
            found.append((Place(UNIT_LOGITS, layer), kernel[-1:]))
        elif mask_per == "weight":
            found.append((Place(KERNEL_LOGITS, layer), (math.prod(kernel),)))
            found.append((Place(BIAS_LOGITS, layer), kernel[-1:]))
    if use_transform:
        for layer, kernel in enumerate(kernels):
            shape = (1,) * (len(kernel) - 2) + kernel[-1:] * 2
            found.append((Place(TRANSFORM, layer), shape))
    return found


def _numbered(unnamed: Sequence[tuple[Place, Shape]]) -> list[Variable]:
    """With the names that TensorFlow gives to variables without one."""
    return [
        Variable(f"model/Variable_{number}" if number else "model/Variable", place, shape)
        for number, (place, shape) in enumerate(unnamed)
    ]


def _shape(flag: str, shapes: Mapping[str, Shape], name: str, rank: int) -> Shape:
    """The shape of a variable that gives the sizes of the network."""
    if len(shapes.get(name, ())) != rank:
        found = f"has the shape {list(shapes[name])}" if name in shapes else "is missing"
        raise UsageError(f"{flag} fits no network of ours: {name}, of {rank} dimensions, {found}")
    return shapes[name]


def _first_fault(layout: Sequence[Variable], shapes: Mapping[str, Shape]) -> tuple[int, str] | None:
    """The number of the first variable that is not as in the layout, and what is wrong with it."""
    for number, (name, place, shape) in enumerate(layout):
        what = f"{name}, {place.part} of layer {place.layer + 1}"
        if name not in shapes:
            return number, f"{what}, is missing"
        if shapes[name] != shape:
            return number, f"{what}, should be {list(shape)} and is {list(shapes[name])}"
    unknown = sorted(set(shapes) - {variable.name for variable in layout})
    return (len(layout), f"they have no place for {unknown[0]}") if unknown else None
