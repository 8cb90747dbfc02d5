"""How far a training has come: its epochs, and the rules of stopping and of the learning rate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Epoch:
    """One row of ``history.csv``."""

    epoch: int
    """From 1."""
    loss: float
    """Mean cross entropy of the training windows, with dropout and label smoothing."""
    accuracy: float
    val_loss: float
    """Mean cross entropy of the validation windows, without either."""
    val_accuracy: float
    learning_rate: float
    seconds: float
    member: int = 1
    """Which of several heads this is of, from 1."""

    def row(self) -> dict[str, float | int]:
        """The values by name."""
        return asdict(self)


@dataclass
class Schedule:
    """What the rules of stopping know; all of it can be written as JSON."""

    learning_rate: float
    best_loss: float = math.inf
    best_epoch: int = 0
    since_best: int = 0
    since_cut: int = 0
    history: list[Epoch] = field(default_factory=list)
    phase: int = 0
    """From 0; a training that fine-tunes has two, one of several rounds has so many."""
    before: int = 0
    """Epochs of earlier phases."""
    lengths: list[int] = field(default_factory=list)
    """Epochs of each earlier phase."""

    def add(self, epoch: Epoch, plateau: int, factor: float = 0.5) -> bool:
        """Take note of an epoch; True if it is the best so far. After ``plateau`` that were not the rate falls."""
        self.history.append(epoch)
        if epoch.val_loss < self.best_loss - 1e-5:
            self.best_loss, self.best_epoch = epoch.val_loss, epoch.epoch
            self.since_best = self.since_cut = 0
            return True
        self.since_best += 1
        self.since_cut += 1
        if self.since_cut >= plateau:
            self.learning_rate, self.since_cut = self.learning_rate * factor, 0
        return False

    def begin_phase(self, phase: int, learning_rate: float) -> None:
        """Go on at another rate, as patient as at the beginning; the best epoch so far stays the one to beat."""
        self.lengths.append(len(self.history) - self.before)
        self.phase, self.learning_rate, self.before = phase, learning_rate, len(self.history)
        self.since_best = self.since_cut = 0

    @property
    def phase_lengths(self) -> list[int]:
        """Epochs of each phase so far."""
        return [*self.lengths, len(self.history) - self.before]

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether to end the phase after the epochs so far."""
        return len(self.history) - self.before >= epochs or self.since_best >= patience


@dataclass
class Replay(Schedule):
    """An earlier training once more: the epochs that led to its best weights, at their rates, without a look back."""

    rates: tuple[tuple[float, ...], ...] = ()
    """The learning rate of each epoch, by phase."""

    @classmethod
    def of(cls, earlier: Schedule) -> Replay:
        """Of each phase of ``earlier`` the epochs up to its best; of a last one that made nothing better none."""
        rates, start = [], 0
        for length in earlier.phase_lengths:
            epochs, start = earlier.history[start : start + length], start + length
            best = min(epochs, key=lambda epoch: epoch.val_loss, default=None)
            end = 0 if best is None else min(best.epoch, earlier.best_epoch)
            rates.append(tuple(epoch.learning_rate for epoch in epochs if epoch.epoch <= end))
        return cls(rates[0][0], rates=tuple(rates))

    def add(self, epoch: Epoch, plateau: int, factor: float = 0.5) -> bool:
        """Take note of an epoch; each is taken for the best so far."""
        self.history.append(epoch)
        self.best_epoch = epoch.epoch
        self._next_rate()
        return True

    def begin_phase(self, phase: int, learning_rate: float) -> None:
        """Go on with the epochs of the next phase."""
        super().begin_phase(phase, learning_rate)
        self._next_rate()

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether all epochs of the phase have been repeated."""
        return len(self.history) - self.before >= len(self.rates[self.phase])

    def _next_rate(self) -> None:
        rates = self.rates[self.phase][len(self.history) - self.before :]
        self.learning_rate = rates[0] if rates else self.learning_rate
