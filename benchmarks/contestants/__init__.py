"""The programs that are timed; each is imported only in a worker that runs it."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.exchange import Arrays, Batch
from benchmarks.machine import cores
from benchmarks.workloads import Workload


class Contestant(Protocol):
    """One program, made as `Class(workload, weights, data_path)`; it computes as its weights do."""

    def use_batches(self, batches: list[Batch]) -> None:
        """Take meta-batches to train on; those who draw their own ignore them."""

    def meta_gradient(self, batch: Batch) -> Arrays:
        """Gradient of the mean query loss over the tasks, by the names of `exchange`."""

    def run(self, iterations: int) -> None:
        """Do meta-iterations, Adam's update included, and wait until they are done."""


@dataclass(frozen=True)
class Entry:
    """Where a contestant is and what it takes part in.

    Attributes:
        module: within this package.
        class_name: of the contestant.
        is_ours: runs in the project's environment, not in the peers'.
        package: whose version names it.
        description: for the tables.
        datasources: of the workloads it knows.
        methods: of the workloads it knows.
        requires: a library that it needs besides `package`.
        environment: variables of its process that differ from those of the others.
    """

    module: str
    class_name: str
    is_ours: bool
    package: str
    description: str
    datasources: tuple[str, ...] = ("omniglot", "miniimagenet", "sinusoid")
    methods: tuple[str, ...] = ("mtnet", "maml")
    requires: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def module_needed(self) -> str:
        """The module to import that may be missing."""
        return self.requires or self.package

    def takes(self, workload: Workload) -> bool:
        """Whether it knows this kind of meta-iteration."""
        return workload.datasource in self.datasources and workload.method in self.methods


CORES = len(cores())

# Every peer computes with one thread an operation and as many tasks at once as there are cores:
# STUDY.md, "Peers at their best".
TENSORFLOW = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": str(CORES)}
JAX = {
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={CORES} "
    "--xla_cpu_multi_thread_eigen=false"
}
TORCH = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}

ENTRIES = {
    "ours": Entry("ours", "Ours", True, "tensorflow", "maml_tnet"),
    "ours-no-onednn": Entry(
        "ours",
        "Ours",
        True,
        "tensorflow",
        "maml_tnet without oneDNN, as TensorFlow decides by itself on many processors",
        environment={"TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
    "ours-keras": Entry(
        "keras_model",
        "KerasModel",
        True,
        "tensorflow",
        "maml_tnet's learner of the same network as a plain Keras model",
        requires="keras.ops",  # of Keras 3
    ),
    "tf-map-fn": Entry(
        "tf_map_fn",
        "MapFn",
        True,
        "tensorflow",
        "tf.map_fn over tasks with their gradients, conv2d",
        datasources=("omniglot", "miniimagenet"),
        environment=TENSORFLOW,
    ),
    "tf-vectorized-map": Entry(
        "tf_vectorized_map",
        "VectorizedMap",
        True,
        "tensorflow",
        "tf.vectorized_map over tasks with their gradients, XLA",
        datasources=("sinusoid",),
        environment=TENSORFLOW,
    ),
    "torch-loop": Entry(
        "torch_loop",
        "TorchLoop",
        False,
        "torch",
        "loop over tasks, autograd.grad(create_graph)",
        datasources=("omniglot", "miniimagenet"),
        environment=TORCH,
    ),
    "torch-compile": Entry(
        "torch_compile",
        "TorchCompile",
        False,
        "torch",
        "torch.compile of torch.func.grad",
        datasources=("omniglot", "sinusoid"),
        environment=TORCH,
    ),
    "higher": Entry(
        "torch_higher",
        "Higher",
        False,
        "torch",
        "higher.innerloop_ctx",
        methods=("maml",),
        requires="higher",
        environment=TORCH,
    ),
    "jax": Entry(
        "jax_contestant",
        "Jax",
        False,
        "jax",
        "jit of each task's gradient, one device a core, convolution as patches",
        environment=JAX,
    ),
}


def load(name: str) -> type[Contestant]:
    """Import a contestant by its name in `ENTRIES`."""
    entry = ENTRIES[name]
    return getattr(
        importlib.import_module(f"benchmarks.contestants.{entry.module}"), entry.class_name
    )
