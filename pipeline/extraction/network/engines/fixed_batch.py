"""Any number of images through a function that is compiled for one number of them."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.lazy import np


class FixedBatch:
    """What all networks of stage one have in common: they are called with any number of images.

    Attributes:
        name: what recipes call the network.
        engine: what computes.
        precision: in which it computes.
        batch: images in one call of the compiled function.
        batch_reason: of that number, in a few words.
        size: (height, width) of the images in pixels.
        dimensions: the length D of a feature vector.
        concurrent_calls: calls that may go on at the same time.
        accepts_partial_batch: whether the function takes fewer images than a batch.
    """

    name: str
    engine: str
    precision: str
    measured: str = ""
    """What the choice of engine and precision rests on, where it was measured."""
    batch: int
    batch_reason: str = "as asked"
    size: tuple[int, int]
    dimensions: int
    concurrent_calls: int = 1
    accepts_partial_batch: bool = False
    _function: Callable[[np.ndarray], np.ndarray]

    @property
    def provenance(self) -> dict[str, str]:
        """What is noted beside the features; it changes them by rounding only."""
        noted = {"precision": self.precision, "engine": self.engine}
        return noted | ({"measured": self.measured} if self.measured else {})

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of some images.

        Args:
            images: ``(n, height, width, 3)`` uint8, RGB, any ``n``.

        Returns:
            ``(n, dimensions)`` float32.
        """
        features = np.empty((len(images), self.dimensions), np.float32)
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            if not self.accepts_partial_batch:
                part = fill_up(part, self.batch)
            features[start : start + self.batch] = self._function(part)[: len(images) - start]
        return features


def fill_up(images: np.ndarray, count: int) -> np.ndarray:
    """``count`` images for what is compiled for that number: black ones after those that are there."""
    if len(images) == count:
        return images
    filled = np.zeros((count, *images.shape[1:]), images.dtype)
    filled[: len(images)] = images
    return filled
