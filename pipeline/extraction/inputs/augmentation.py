"""How sequences of frames are varied, as one short text that is logged, hashed and shared by training and extraction.

    flip                 mirrored left to right, every second time
    rotate:10            by up to 10 degrees
    zoom:0.2             by a factor from 0.8 to 1.2
    shift:0.1            by up to a tenth of each side
    shear:0.1            slanted by up to a tenth of the height
    colour:0.2           brightness by up to 0.2 of white, contrast and saturation by a factor from 0.8 to 1.2
    jitter:1             each step is one of its neighbours, up to 1 step away

What is drawn is drawn once for a sequence, so that nothing moves or flickers that did not before; only ``jitter`` is
drawn for each step. Times and masks stay.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from pipeline.errors import UserError
from pipeline.files.text import parse_rule
from pipeline.lazy import np

DEFAULT = "flip,rotate:10,zoom:0.1,shift:0.1,colour:0.1"
NUMBERS = 9  # numbers from 0 to 1 that decide the look of one sequence
_MOST = {"rotate": 180.0, "zoom": 0.9, "shift": 1.0, "shear": 1.0, "colour": 1.0, "jitter": 100.0}
FORMS = "flip,rotate:DEGREES,zoom:X,shift:X,shear:X,colour:X,jitter:STEPS"


@dataclass(frozen=True)
class FrameAugmentation:
    """What is varied, and by how much; 0 and False leave it as it is."""

    flip: bool = False
    rotate: float = 0.0
    """Degrees."""
    zoom: float = 0.0
    shift: float = 0.0
    """Share of each side."""
    shear: float = 0.0
    colour: float = 0.0
    jitter: int = 0
    """Steps."""

    @classmethod
    def parse(cls, text: str) -> FrameAugmentation:
        """Read ``flip,rotate:10``; an empty text varies nothing.

        Raises:
            UserError: an unknown name, a number that is none or out of range.
        """
        values: dict[str, float | bool | int] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, amount = parse_rule(part, "augmentation", FORMS)
            if name == "flip" and amount is None:
                values[name] = True
                continue
            if name not in _MOST:
                raise UserError(f"augmentation {part!r} is unknown; expected {FORMS}")
            if amount is None or not 0 < amount <= _MOST[name] or (name == "jitter" and amount != int(amount)):
                whole = "a whole number" if name == "jitter" else "a number"
                raise UserError(f"augmentation {part!r}: expected {whole} above 0, up to {_MOST[name]:g}")
            values[name] = int(amount) if name == "jitter" else amount
        return cls(**values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """The canonical text."""
        parts = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value:
                parts.append(item.name if item.name == "flip" else f"{item.name}:{value:g}")
        return ",".join(parts)

    def __bool__(self) -> bool:
        return self != FrameAugmentation()


def check_varies(seen: str) -> None:
    """Refuse to vary images of motion.

    Args:
        seen: a recipe's ``input``.

    Raises:
        UserError: it is optical flow, whose colours are directions.
    """
    if seen in ("farneback", "dis"):
        raise UserError(f"`augment` turns and mirrors images, and the motion of input {seen} would keep its direction")


def numbers_for(name: str, copy: int, seed: int = 0) -> np.ndarray:
    """``(1, NUMBERS)`` float32 from 0 to 1: what decides the ``copy``-th copy of the video ``name``, on any machine."""
    entropy = [seed, copy, *name.encode("utf-8", "surrogateescape")]
    return np.random.default_rng(entropy).random((1, NUMBERS), np.float32)
