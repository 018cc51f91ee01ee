"""The recipe's keys about training."""

from typing import Annotated, Literal

from pydantic import Field

from headrace.labels.kinds import ValidationMetric
from headrace.labels.losses.kinds import AnyLoss
from headrace.recipe.base import declare_later_key
from headrace.recipe_section import Count, Fraction, NotNegative, Positive, Section

MOST_AUTOMATIC_RANKS = 2
"""Ranks of `train.ranks: auto` at most."""


class Optimizer(Section):
    """The optimizer: how gradients become updates."""

    kind: Literal["adam", "adamw", "lamb", "sgd", "adagrad", "rowwise_adagrad"] = "adam"
    """rowwise_adagrad keeps one sum per row of an embedding table (Mudigere et al. 2022,
    arXiv:2104.05158), and is adagrad for all other weights."""
    learning_rate: Positive = 0.001
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of sgd."""
    nesterov: bool = False
    """Of sgd."""
    beta_1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta_2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Positive = 1e-7
    weight_decay: NotNegative = 0.0
    """Of adamw and lamb: decoupled from the gradient, times the learning rate."""
    initial_accumulator: NotNegative = declare_later_key(0.1)
    """Of adagrad and rowwise_adagrad: what the sums of squares begin with."""
    sparse: Literal["exact", "lazy"] = declare_later_key("exact")
    """Of embedding tables. `exact`: as if every row had a gradient, which is 0 where a batch does
    not have its id. sgd without momentum and both adagrads touch the batch's rows alone all the
    same; with momentum, adam, adamw and lamb a step costs as much as the table is large. `lazy`
    (sgd, adam, adamw): moments of rows without a gradient do not decay, these rows do not move by
    them, and weight decay waits for the row's next gradient."""
    clip_norm: Positive | None = None
    """Largest norm of all gradients together, after they were summed over ranks."""
    clip_value: Positive | None = None
    """Largest absolute value of a gradient."""


class _Schedule(Section):
    warmup_epochs: NotNegative = 0.0
    """Epochs, and parts of one, in which the rate rises to its peak."""
    scale_by_ranks: bool = False
    """Multiply the optimizer's learning rate by the number of ranks (linear scaling). Where the
    global batch stays the same, as it does here, there is seldom a reason to."""


class FixedRate(_Schedule):
    """The same rate all the time, after the warm-up."""

    kind: Literal["fixed"]


class StepDecay(_Schedule):
    """Multiplied by `factor` at the beginning of each of `epochs` (counted from 0)."""

    kind: Literal["step"]
    epochs: Annotated[list[Count], Field(min_length=1)]
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1


class ExponentialDecay(_Schedule):
    """Multiplied by `factor` over every epoch, step by step."""

    kind: Literal["exponential"]
    factor: Annotated[float, Field(gt=0, le=1)] = 0.95


class CosineDecay(_Schedule):
    """Half a cosine from the peak down to `final` times the peak at the last step."""

    kind: Literal["cosine"]
    final: Fraction = 0.0


class PolynomialDecay(_Schedule):
    """final + (1 - final) (1 - share of the steps that are done) ** power, times the peak."""

    kind: Literal["polynomial"]
    power: Positive = 1.0
    final: Fraction = 0.0


class ReduceOnPlateau(_Schedule):
    """Multiplied by `factor` where a validation metric has not improved for `patience` epochs."""

    kind: Literal["plateau"]
    metric: ValidationMetric = "loss"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: Count = 2
    min_delta: NotNegative = 0.0
    """What counts as an improvement."""
    lowest: Fraction = 0.0
    """Of the peak; the rate never falls below it."""


Schedule = (
    FixedRate | StepDecay | ExponentialDecay | CosineDecay | PolynomialDecay | ReduceOnPlateau
)


class EarlyStopping(Section):
    """Stop when the validation metric has not improved for `patience` epochs; keep the best."""

    metric: ValidationMetric = "loss"
    """One that the label's kind has; see [Label](#label)."""
    patience: Annotated[int, Field(ge=1)] = 3


class Augment(Section):
    """Changes of train rows, other ones in every epoch, and the same at any number of ranks."""

    flip_horizontal: bool = False
    """Images, each with a chance of one half."""
    flip_vertical: bool = False
    shift: Annotated[int, Field(ge=0)] = 0
    """Images: pixels at most in each direction; what is uncovered is 0. As a crop of an image
    padded by as much."""
    mixup: NotNegative = 0.0
    """Images and numbers: alpha of the beta distribution that mixes a row with another one, and its
    label with it (Zhang et al. 2018, arXiv:1710.09412); 0 mixes none."""
    noise: NotNegative = 0.0
    """Numbers: standard deviation of what is added, in units of the transformed columns."""


class Checkpoint(Section):
    """Checkpoints of a training, which may be ended at any time."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """Folder or URL; by default below the workdir."""
    every_epochs: Annotated[int, Field(ge=0)] = 1
    """0 writes none at the end of an epoch."""
    every_steps: Count | None = None
    every_minutes: Positive | None = None
    keep: Count = 2
    """The newest; the best epoch's is kept beside them."""
    keep_finished: Annotated[int, Field(ge=0)] = 1
    """How many of the newest stay when the model is registered; `headrace vacuum-checkpoints`
    removes them."""


class LaunchSettings(Section):
    """The launcher of the ranks."""

    kind: Literal["auto", "local", "hosts", "spark", "launched"] = "auto"
    """`local`: this machine. `hosts`: a remote shell on each of them. `spark`: tasks on executors.
    `launched`: the command itself was started once per rank, by torchrun or mpirun; rank 0 leads.
    `auto`: launched where the environment says so, else local."""
    hosts: list[Annotated[str, Field(pattern=r"^[^\s:]+(:[1-9][0-9]*)?$")]] = []
    """`name` or `name:slots`, of kind hosts."""
    address: Annotated[str, Field(min_length=1)] | None = None
    """Of this machine, as the ranks reach it; found out where it is left out."""
    start_timeout: Annotated[int, Field(ge=1)] = 600
    """Seconds that ranks have to come."""
    remote_shell: Annotated[list[str], Field(min_length=1)] = ["ssh", "-o", "BatchMode=yes"]
    """Command before a host's name and what is to be run there."""


class Train(Section):
    """The training of the model."""

    epochs: Annotated[int, Field(ge=1)] = 10
    global_batch_size: Annotated[int, Field(ge=1)] = 1024
    """Rows a step over all ranks."""
    ranks: Annotated[int, Field(ge=1)] | Literal["auto"] = 2
    """`auto`: one below 50,000 train rows, where a second one costs more than it saves; else two,
    where the canonical shards can be shared by two. A number for an elastic training, and for
    ranks that are not started on this machine."""
    min_ranks: Count | None = None
    """The training goes on without lost ranks while there are as many; else it ends with the first
    one. Both this and `max_ranks` make it elastic; `ranks` is what it begins with."""
    max_ranks: Count | None = None
    """Ranks that come are taken in up to this number; `ranks` where it is left out."""
    launcher: LaunchSettings = LaunchSettings()
    collectives: Literal["horovod", "tensorflow"] = declare_later_key("horovod")
    """What ranks communicate by. `horovod`: Gloo, and NCCL between GPUs. `tensorflow`: its own
    collective operations, where Horovod is not installed; GPUs reduce through the host. The weights
    are the same to 1e-6. A single rank needs neither."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    loss: AnyLoss | None = declare_later_key(None)
    """What is minimized, the mean over rows by their weights; by default what the label's kind has:
    cross_entropy of a condition, classes and multi_label, squared_error of a regression, poisson of
    a count. See [losses](losses.md)."""
    optimizer: Optimizer = Optimizer()
    schedule: Annotated[Schedule, Field(discriminator="kind")] = FixedRate(kind="fixed")
    early_stopping: EarlyStopping | None = None
    accumulate: Count = 1
    """Global batches that make one update."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label that is spread over all classes; of multi_label, of each between 0 and 1."""
    augment: Augment = Augment()
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Of the layers' arithmetic; weights stay float32. float16 scales the loss by itself."""
    compression: Literal["none", "fp16", "bf16"] = "none"
    """Of gradients on their way between ranks: half the bytes. bf16 has the range of float32 and is
    summed in it."""
    threads_per_rank: Annotated[int, Field(ge=1)] = 1
    """TensorFlow compute threads per rank; 1 makes a CPU run repeatable bit for bit."""
    collective_timeout: Annotated[int, Field(ge=1)] = 30
    """Seconds the ranks wait for one that is frozen or cut off (Gloo's own timeout)."""
    step_timeout: Annotated[int, Field(ge=1)] = 600
    """Seconds without any progress of a rank after which all are ended; the first step compiles."""
    compare_every: Count = 1000
    """Steps after which the ranks compare their weights; they do so after the first one, too."""
    max_restarts: Annotated[int, Field(ge=0)] = 0
    """How often ranks that died are started again from the newest checkpoint."""
    checkpoint: Checkpoint = Checkpoint()
    initial_model: Annotated[str, Field(min_length=1)] | None = None
    """A `.keras` file or models:/NAME/VERSION whose weights the training begins with."""

    @property
    def rank_count(self) -> int:
        """Return the number of ranks; of `auto`, the largest that it may become."""
        return MOST_AUTOMATIC_RANKS if self.ranks == "auto" else self.ranks
