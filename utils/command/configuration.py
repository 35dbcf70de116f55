"""The configuration of a training run, as one checked record."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from maml_tnet.conv_net import NORMS
from system.json_file import read_object, write_json
from utils.command.ranges import LARGEST_INTEGER, RANGES, check_range, shown
from utils.errors import UsageError

REGRESSION_SOURCES = ("sinusoid", "polynomial")
IMAGE_SOURCES = ("omniglot", "miniimagenet", "images")
DATA_SOURCES = REGRESSION_SOURCES + IMAGE_SOURCES
ALL_CLASSES = -1
QUERIES = ("together", "alone")
META_OPTIMIZERS = ("adam", "rectified_adam", "lookahead", "moving_average")

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "datasource": DATA_SOURCES,
    "baseline": ("oracle", None),
    "meta_optimizer": META_OPTIMIZERS,
    "norm": NORMS,
    "queries": QUERIES,
}
_KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


@dataclass(frozen=True)
class Config:
    """Everything that determines a training run; each field is the flag of the same name.

    Fields with a default are younger than runs that are still around: those had the default.

    A field that the data source or the method has no use for keeps its value and is ignored:
    `poly_order` without polynomials, `share_M`, `temp` and `logit_init` without `use_M`, and so on.

    Raises:
        UsageError: a field of the wrong type, out of range or at odds with another.
    """

    datasource: str
    num_classes: int
    num_train_classes: int
    baseline: str | None
    pretrain_iterations: int
    metatrain_iterations: int
    meta_batch_size: int
    meta_lr: float
    meta_grad_clip: float
    meta_optimizer: str
    update_batch_size: int
    query_batch_size: int
    update_lr: float
    num_updates: int
    poly_order: int
    image_size: int
    grey: bool
    split_seed: int
    use_T: bool  # noqa: N815  (the original programs' names)
    use_M: bool  # noqa: N815
    share_M: bool  # noqa: N815
    temp: float
    logit_init: float
    meta_sgd: bool
    norm: str | None
    dim_hidden: int
    num_filters: int
    max_pool: bool
    stop_grad: bool
    seed: int
    cooldown: int = 0
    queries: str = "together"

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.type)
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for field in fields(self):
            if field.name in RANGES:
                check_range(field.name, getattr(self, field.name))
        self._check_combinations()

    def _check_combinations(self) -> None:
        least = self.num_classes if self.is_classification else 1
        if self.num_train_classes != ALL_CLASSES and self.num_train_classes < least:
            raise UsageError(
                f"--num_train_classes must be {ALL_CLASSES} (all) or at least {least}, "
                f"got {shown(self.num_train_classes)}"
            )
        if self.num_train_classes > LARGEST_INTEGER:
            raise UsageError(
                f"--num_train_classes must be at most {LARGEST_INTEGER}, "
                f"got {shown(self.num_train_classes)}"
            )
        if self.total_iterations > LARGEST_INTEGER:
            raise UsageError(
                "--pretrain_iterations and --metatrain_iterations must be at most "
                f"{LARGEST_INTEGER} together, got {self.total_iterations}"
            )
        if self.cooldown > self.metatrain_iterations:
            raise UsageError(
                f"--cooldown must be at most --metatrain_iterations={self.metatrain_iterations}, "
                f"got {self.cooldown}"
            )
        if self.baseline == "oracle" and self.datasource != "sinusoid":
            raise UsageError(
                f"--baseline=oracle needs --datasource=sinusoid, got {self.datasource!r}"
            )
        if not self.is_classification and self.norm is not None:
            raise UsageError(
                f"--norm must be None for --datasource={self.datasource}, whose network has no "
                f"normalization, got {self.norm!r}"
            )
        if not self.is_classification and self.max_pool:
            raise UsageError(
                f"--max_pool needs --datasource={' or '.join(IMAGE_SOURCES)}, "
                f"got {self.datasource!r}"
            )

        if self.answers_queries_alone:
            self._check_queries_alone()

    def _check_queries_alone(self) -> None:
        if not self.is_classification:
            raise UsageError(
                f"--queries=alone needs --datasource={' or '.join(IMAGE_SOURCES)}, "
                f"got {self.datasource!r}"
            )
        if self.pretrain_iterations:
            raise UsageError(
                "--pretrain_iterations must be 0 with --queries=alone, whose head knows its "
                f"support set before adaptation, got {self.pretrain_iterations}"
            )

    @property
    def answers_queries_alone(self) -> bool:
        """Whether the model is for single pictures and any number of classes, not the paper's."""
        return self.queries == "alone"

    @property
    def is_classification(self) -> bool:
        """Whether tasks are classification of images, not regression."""
        return self.datasource in IMAGE_SOURCES

    @property
    def total_iterations(self) -> int:
        """Number of iterations of the whole run."""
        return self.pretrain_iterations + self.metatrain_iterations

    @property
    def iterations_without_adaptation(self) -> int:
        """Number of first iterations that minimize the loss before adaptation.

        The oracle knows its task, so it never learns to adapt.
        """
        return self.total_iterations if self.baseline == "oracle" else self.pretrain_iterations

    @property
    def method(self) -> str:
        """The method's name as in the paper, such as "MT-net" or "T-net + Meta-SGD"."""
        net = {(1, 1): "MT-net", (1, 0): "T-net", (0, 1): "M-net"}.get((self.use_T, self.use_M))
        if net and self.use_M and not self.share_M:
            net += " (unshared masks)"
        parts = [part for part in (net, "Meta-SGD" if self.meta_sgd else None) if part]
        name = " + ".join(parts) or "MAML"
        if self.stop_grad:
            name = f"first-order {name}"
        if self.baseline == "oracle":
            name = "oracle" if name == "MAML" else f"oracle {name}"
        elif self.pretrain_iterations:
            name = f"pretrained {name}"
        return f"{name} (queries alone)" if self.answers_queries_alone else name

    @property
    def run_name(self) -> str:
        """A short folder name, such as "omniglot-5way-1shot-mtnet-seed0"."""
        source = self.datasource
        if source == "polynomial":
            source += str(self.poly_order)
        if self.is_classification:
            source += f"-{self.num_classes}way"
        replacements = {
            "-net": "net",
            "Meta-SGD": "metasgd",
            " + ": "-",
            " (unshared masks)": "-unshared",
            " (queries alone)": "-alone",
        }
        method = self.method
        for old, new in replacements.items():
            method = method.replace(old, new)
        method = method.lower().replace(" ", "-")
        return f"{source}-{self.update_batch_size}shot-{method}-seed{self.seed}"

    def differences(self, other: "Config") -> list[str]:
        """Say what `other`, the configuration of a stored run, has different from this one.

        `metatrain_iterations` does not count, as a run may be prolonged, nor does a cooldown that
        begins where the stored run ends or later, nor what both ignore. A run that has a cooldown
        is at its end.

        Returns:
            lines such as "num_filters is 64 there, 32 here"; empty for the same run.
        """
        skipped = self.ignored_fields() & other.ignored_fields()
        if other.cooldown == 0:
            if self.cooldown == 0:
                skipped |= {"metatrain_iterations"}
            elif other.metatrain_iterations <= self.metatrain_iterations - self.cooldown:
                skipped |= {"metatrain_iterations", "cooldown"}
        here, there = asdict(self), asdict(other)
        return [
            f"{name} is {there[name]} there, {here[name]} here"
            for name in here
            if name not in skipped and here[name] != there[name]
        ]

    def ignored_fields(self) -> set[str]:
        """The fields that the data source or the method has no use for."""
        ignored: set[str] = set()
        if self.is_classification:
            ignored |= {"dim_hidden"}
        else:
            ignored |= {"num_classes", "num_train_classes", "num_filters"}
        if self.datasource != "polynomial":
            ignored |= {"poly_order"}
        if self.datasource != "images":
            ignored |= {"image_size", "grey", "split_seed"}
        if not self.use_M:
            ignored |= {"share_M", "temp", "logit_init"}
        return ignored

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, in order."""
        return asdict(self)

    def write(self, file: Path) -> None:
        """Write the fields as a JSON object, one a line, with their checksum."""
        write_json(file, self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str) -> Self:
        """Make a configuration of stored fields.

        Args:
            values: every field by name; those with a default may be missing.
            origin: the file they come from, for the error.

        Raises:
            UsageError: a field unknown, missing or out of range; names the file and the field.
        """
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise UsageError(f"{origin}: unknown field {name!r}")
        for name in (field.name for field in fields(cls) if field.default is MISSING):
            if name not in values:
                raise UsageError(f"{origin}: field {name!r} is missing")
        try:
            return cls(**values)
        except UsageError as error:
            raise UsageError(f"{origin}: {error}") from error

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            FileError: it cannot be read, or is damaged.
            UsageError: see `from_dict`.
        """
        return cls.from_dict(read_object(file), str(file))


def _check_type(name: str, value: Any, kind: Any) -> None:
    accepted = int | float if kind is float else kind
    is_flag_for_number = isinstance(value, bool) and kind is not bool
    if not isinstance(value, accepted) or is_flag_for_number:
        raise UsageError(f"--{name} must be {_KINDS.get(kind, 'a string or None')}, got {value!r}")


def _check_choice(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise UsageError(f"--{name} must be {in_words(choices)}, got {value!r}")


def in_words(choices: Sequence[str | None]) -> str:
    """Such as "batch_norm, layer_norm or None"."""
    *rest, last = map(str, choices)
    return f"{', '.join(rest)} or {last}"
