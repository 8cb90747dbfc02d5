"""Making the int8 network of a store: post-training quantisation on frames of the user's own videos, by NNCF.

Where 8 bits go is decided by the numbers that real frames bring about in each layer.
Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877; https://github.com/openvinotoolkit/nncf
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.features.decode_task import DecodeSpec, Images, VideoOpened, decode_videos
from pipeline.extraction.features.stream import Decoded
from pipeline.extraction.network.engines.openvino import check_openvino, save_network
from pipeline.extraction.network.int8_model import Calibration, QuantisedNetwork
from pipeline.extraction.network.load import read_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.videos.catalog.catalog import Catalog, Video
from pipeline.videos.media.sampling import Sampling

CALIBRATION_FRAMES = 300
_FEWEST = 3  # of one video: its first frame alone may be black


def spread_frames(count: int, frames: int = CALIBRATION_FRAMES) -> tuple[list[int], int]:
    """Which of ``count`` videos to calibrate on, and how many frames of each.

    Returns:
        Places of the videos, evenly spread; the same number of frames of each.
    """
    each = max(_FEWEST, -(-frames // count))
    chosen = min(count, -(-frames // each))
    return [place * count // chosen for place in range(chosen)], each


def quantise(
    place: Path,
    catalog: Catalog,
    recipe: Recipe,
    weights: WeightsSource,
    *,
    workers: int,
    timeout: float,
) -> QuantisedNetwork:
    """Quantise a network on frames of a catalog and put it into a store; the same frames on every machine.

    Args:
        place: the store.
        catalog: the videos, all of them also where several machines share the work.
        recipe: how images are cropped and resized; its sampling does not count here.
        weights: where the network's weights come from.
        workers: decoder processes.
        timeout: seconds of silence after which a decoder is taken for hanging.

    Raises:
        UserError: NNCF is not installed, or no frame can be decoded.
    """
    check_openvino("`precision=int8`")
    if importlib.util.find_spec("nncf") is None:
        raise UserError("`precision=int8` calibrates by NNCF: pip install video-pipeline[openvino]")
    places, each = spread_frames(len(catalog.videos))
    videos = [catalog.videos[place] for place in places]
    sampling = Sampling("uniform", each)
    jobs = [(number, video.path, sampling) for number, video in enumerate(videos)]
    spec = DecodeSpec((replace(recipe, reuse_static=0.0),))
    with decode_videos(jobs, spec, workers=workers, timeout=timeout) as pool:
        # Decoding has begun; the network is loaded meanwhile.
        network = read_network(recipe, weights)
        collected = _collect(pool)
    if not collected:
        raise UserError(f"`precision=int8` needs frames to calibrate on, and none of {_names(videos)} can be decoded")
    frames = np.concatenate([images for _, images in sorted(collected.items())])
    about = Calibration(
        backbone=recipe.backbone,
        weights_digest=network.digest,
        weights_key=weights.key(),
        height=recipe.height,
        width=recipe.width,
        dimensions=network.dimensions,
        frames=len(frames),
        videos=len(collected),
        versions={package: metadata.version(package) for package in ("openvino", "nncf")},
    )
    quantised = _quantise(network.model, frames, attends=network.attends)
    return QuantisedNetwork.write(place, about, lambda path: save_network(quantised, path))


def _collect(pool: Decoded[int]) -> dict[int, np.ndarray]:
    """The frames of each video that can be decoded, by its number."""
    parts: dict[int, list[np.ndarray]] = {}
    for arrived in pool.messages(1.0):
        if arrived is None:
            continue
        number, message = arrived
        if isinstance(message, Images):
            parts.setdefault(number, []).append(message.images[0])
        elif isinstance(message, VideoOpened):
            parts.pop(number, None)
    return {number: np.concatenate(images) for number, images in parts.items()}


def _names(videos: Sequence[Video]) -> str:
    return ", ".join(video.name for video in videos[:3]) + (", ..." if len(videos) > 3 else "")


def _quantise(network: Any, frames: np.ndarray, *, attends: bool) -> Any:
    with _silent_nncf() as nncf:
        samples = nncf.Dataset([frame[None] for frame in frames])
        # "Performance" is symmetric everywhere: faster and, measured here, closer than "mixed".
        return nncf.quantize(
            network,
            samples,
            subset_size=len(frames),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            model_type=nncf.ModelType.TRANSFORMER if attends else None,
        )


@contextlib.contextmanager
def _silent_nncf() -> Iterator[Any]:
    """NNCF without its bars and messages, and without its reports of use to its makers over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # then it is as if not installed
    with contextlib.redirect_stdout(io.StringIO()):
        import nncf

        logging.getLogger("nncf").setLevel(logging.ERROR)
        yield nncf
