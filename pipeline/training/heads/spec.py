"""What is chosen of a head: its name and its settings, as plain values that a checkpoint stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from pipeline.errors import UserError
from pipeline.extraction.network.registry import find_network
from pipeline.extraction.recipe import FRAME_CACHE

Pooling = Literal["avg", "max"]
Cell = Literal["lstm", "gru", "rnn", "conv1d"]
MOST_MEMBERS = 100  # of one checkpoint
Masked = Literal["all", "first"]
MOST_UNITS = 16_384
_MOST_WIDTHS = 8
ALL_LAYERS = -1  # of a base, where a number of its last layers is asked for


def parse_layers(text: str) -> int:
    """A number of layers; ``all`` is `ALL_LAYERS`."""
    return ALL_LAYERS if text == "all" else int(text)


def parse_widths(text: str) -> int | str:
    """A width; several, such as ``256,512,256``, stay the text that a search can store and `HeadSpec` reads."""
    if "," in text:
        return ",".join(map(str, widths_of(text)))
    number = float(text)  # YAML has 8.0 for a number from a range
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def widths_of(value: int | str | Sequence[int]) -> tuple[int, ...]:
    """One width or several as numbers.

    Raises:
        UserError: a text that is none.
    """
    try:
        widths = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
        return tuple(int(width) for width in widths)
    except ValueError:
        raise UserError(f"{value!r} is not a width for each layer, such as 256,512,256") from None


@dataclass(frozen=True)
class HeadSpec:
    """A head with its settings; `registry.head_spec` fills in what is not given."""

    name: str = field(metadata={"name": "head", "help": "what is trained, one of the names above"})
    """Which head, such as gru."""
    units: tuple[int, ...] = field(metadata={"parse": parse_widths, "metavar": "N[,N...]"})
    """Width of the hidden layers, or one for each: 256,512,256.

    Of a recurrent head the first `layers` widths are those of the layers that read
    the sequence, and those of dense layers behind them follow."""
    layers: int
    """Stacked layers, 1 to 4."""
    dropout: float
    """Share of values dropped in training."""
    bidirectional: bool = field(
        default=True, metadata={"name": "unidirectional", "help": "recurrent layers read forwards only"}
    )
    """Whether recurrent layers read the window from both ends."""
    base: str | None = None
    """A network of keras.applications within the head, such as mobilenetv2.

    None where it has none."""
    weights: str | None = None
    """Of the base: imagenet, random[:SEED] or a file.

    None where there is no base."""
    pooling: Pooling | None = None
    """Of the base's output over the frame."""
    trainable: int | None = field(default=None, metadata={"parse": parse_layers})
    """Last layers of the base that learn, or 'all'.

    0 for a frozen base, `ALL_LAYERS` for all of it."""
    cell: Cell | None = None
    """What reads the features over time."""
    kernel: int | None = None
    """Steps that a convolution over time sees at once, where there is one."""
    mask_of: Masked | None = field(default=None, metadata={"name": "mask"})
    """Which recurrent layers are told of padding: all, or as published the first one only."""

    def __post_init__(self) -> None:
        units = widths_of(self.units)
        object.__setattr__(self, "units", units)
        if not units or min(units) < 1 or max(units) > MOST_UNITS or len(units) > _MOST_WIDTHS:
            expected = "1 or more" + f", up to {MOST_UNITS}" * (bool(units) and min(units) > 0)
            raise UserError(
                f"`units={','.join(map(str, units[:9]))}`: expected {expected}, of up to {_MOST_WIDTHS} layers"
            )
        if not 1 <= self.layers <= 4:
            raise UserError(f"`layers={self.layers}`: expected 1 to 4")
        if not 0 <= self.dropout < 1:
            raise UserError(f"`dropout={self.dropout:g}`: expected 0 or more and less than 1")
        if self.base is not None and find_network(self.base).name == FRAME_CACHE:
            raise UserError(f"`base={self.base}`: frames is not a network, it stands for the frames of a store")
        if self.pooling is not None and self.pooling not in get_args(Pooling):
            raise UserError(f"`pooling={self.pooling!r}`: expected {' or '.join(get_args(Pooling))}")
        if self.cell is not None and self.cell not in get_args(Cell):
            raise UserError(f"`cell={self.cell!r}`: expected one of {', '.join(get_args(Cell))}")
        if self.mask_of is not None and self.mask_of not in get_args(Masked):
            raise UserError(f"`mask_of={self.mask_of!r}`: expected {' or '.join(get_args(Masked))}")
        if self.trainable is not None and self.trainable < ALL_LAYERS:
            raise UserError(f"`trainable={self.trainable}`: expected a number of layers, 0 or more, or 'all'")
        if self.kernel is not None and self.kernel < 1:
            raise UserError(f"`kernel={self.kernel}`: expected 1 or more steps")

    @property
    def width(self) -> int:
        """Of the first hidden layer."""
        return self.units[0]

    @property
    def widths(self) -> tuple[int, ...]:
        """Of each of the `layers`."""
        return self.units[: self.layers] if len(self.units) > 1 else self.units * self.layers

    @property
    def behind(self) -> tuple[int, ...]:
        """Widths of dense layers behind those that read the sequence."""
        return self.units[self.layers :]

    @property
    def from_nothing(self) -> bool:
        """Whether the whole base is learnt from random weights."""
        return self.trainable == ALL_LAYERS and (self.weights or "").startswith("random")

    def settings(self) -> dict[str, Any]:
        """All that is set, as plain values."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return values | {"units": self.width if len(self.units) == 1 else list(self.units)}
