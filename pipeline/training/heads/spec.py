"""What is chosen of a head: its name and its settings, as plain values that a checkpoint stores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.registry import find_network
from pipeline.extraction.recipe import FRAME_CACHE

BASE_POOLINGS = ("avg", "max")
CELLS = ("lstm", "gru", "rnn", "conv1d")
ALL_LAYERS = -1  # of a base, where a number of its last layers is asked for


@dataclass(frozen=True)
class HeadSpec:
    """A head with its settings; `registry.head_spec` fills in what is not given."""

    name: str
    units: int
    """Width of the hidden layers."""
    layers: int
    """How many layers are stacked."""
    dropout: float
    bidirectional: bool = True
    """Whether recurrent layers read the window from both ends."""
    base: str | None = None
    """A network of keras.applications within the head; None where it has none."""
    weights: str | None = None
    """Where the base starts from: ``imagenet``, ``random:SEED`` or a file; None where there is no base."""
    pooling: str | None = None
    """``avg`` or ``max`` of the base's output over the picture."""
    trainable: int | None = None
    """How many of the base's last layers learn: 0 for a frozen one, -1 for all."""
    cell: str | None = None
    """What reads the base's features over time: lstm, gru, rnn or conv1d."""
    kernel: int | None = None
    """Steps that a convolution over time sees at once."""

    def __post_init__(self) -> None:
        if self.units < 1:
            raise UserError(f"`units={self.units}`: expected 1 or more")
        if not 1 <= self.layers <= 4:
            raise UserError(f"`layers={self.layers}`: expected 1 to 4")
        if not 0 <= self.dropout < 1:
            raise UserError(f"`dropout={self.dropout:g}`: expected 0 or more and less than 1")
        if self.base is not None and find_network(self.base).name == FRAME_CACHE:
            raise UserError(f"`base={self.base}`: frames is no network, it stands for the pictures of a store")
        if self.pooling is not None and self.pooling not in BASE_POOLINGS:
            raise UserError(f"`pooling={self.pooling!r}`: expected {' or '.join(BASE_POOLINGS)}")
        if self.cell is not None and self.cell not in CELLS:
            raise UserError(f"`cell={self.cell!r}`: expected one of {', '.join(CELLS)}")
        if self.trainable is not None and self.trainable < ALL_LAYERS:
            raise UserError(f"`trainable={self.trainable}`: expected a number of layers, 0 or more, or 'all'")
        if self.kernel is not None and self.kernel < 1:
            raise UserError(f"`kernel={self.kernel}`: expected 1 or more steps")

    @property
    def from_nothing(self) -> bool:
        """Whether the whole base is learnt from random weights."""
        return self.trainable == ALL_LAYERS and (self.weights or "").startswith("random")

    def settings(self) -> dict[str, Any]:
        """All that is set, as plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}
