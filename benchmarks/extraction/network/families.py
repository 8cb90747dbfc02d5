"""A network of each family through the whole extraction against the network alone, with drawn weights, in one run.

InceptionV3 at 299 px and ConvNeXt-T of keras.applications, ViT-S/14 (DINOv2) as a preset of keras-hub, ViT-B/32 as an
ONNX file where one is named. Each alone computes images that lie ready; the extraction decodes videos, computes and
writes a store, with the network loaded before. Both take turns. ``--int8`` also quantises each on frames of these
videos: the cosine of its features to the float ones, and its speed. Cosines of small networks of every class to what
their own framework gives are tests: tests/extraction/network/by_hub and by_file.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Table, cosines, in_turn, random_images, time_of
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.extraction.jobs.calibrate_int8 import quantise
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.chosen import choose_layer, choose_network
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.parallel.machine import processor_model, processors
from pipeline.parallel.pipelined import concurrent_calls_of, pipelined
from pipeline.videos.catalog.catalog import Catalog, open_catalog

_NAMES = {
    "inceptionv3": "InceptionV3, 299",
    "convnexttiny": "ConvNeXt-T, 224",
    "vit-s": "ViT-S/14, 224",
    "vit-b": "ViT-B/32, 224",
}
_VIT_S = {"patch_size": 14, "num_layers": 12, "hidden_dim": 384, "num_heads": 6, "intermediate_dim": 1536}


def write_vit_s(folder: Path) -> Path:
    """A preset of keras-hub: DINOv2's small network at 224 px with drawn weights."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(0)
    shape = {"image_shape": (224, 224, 3), "position_embedding_shape": (518, 518, 3)}
    keras_hub.models.DINOV2Backbone(**_VIT_S, **shape).save_to_preset(str(folder))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scale, offset = (1 / 255 / std).tolist(), (-mean / std).tolist()
    keras_hub.layers.ImageConverter(image_size=(224, 224), scale=scale, offset=offset).save_to_preset(str(folder))
    return folder


def alone(network: Any, images: np.ndarray) -> float:
    """Images a second of a network whose images lie ready, with as many calls in flight as in the extraction."""

    batches = [images[start : start + network.batch] for start in range(0, len(images), network.batch)]
    watch = time_of(lambda: list(pipelined(network, batches, concurrent_calls_of(network))))
    return len(images) / watch.clock


def whole(catalog: Catalog, recipe: Recipe, source: WeightsSource, network: Any) -> float:
    """Frames a second of an extraction into a new store."""
    with tempfile.TemporaryDirectory() as folder:
        extraction = Extraction(catalog, Path(folder, "store"), recipe, source, ExtractionSpec(batch=network.batch))
        extraction.look()
        with extraction.decode() as pool:
            extraction.run(pool, network, network.provenance)
        return extraction.progress.rate


def measure_int8(
    catalog: Catalog, recipe: Recipe, source: WeightsSource, network: Any, images: np.ndarray
) -> tuple[float, float, float]:
    """The mean and the worst cosine of int8 features to float ones of frames, and the times the float speed."""
    with tempfile.TemporaryDirectory() as folder:
        made = quantise(Path(folder), catalog, recipe, source, workers=processors(), timeout=60)
        quantised = load_backbone(
            replace(recipe, quantised=made.digest), Path(folder), weights=source, batch=network.batch
        )
        close = cosines(network(images), quantised(images))
        rates = in_turn({"float": lambda: alone(network, images), "int8": lambda: alone(quantised, images)}, 3)
    return float(close.mean()), float(close.min()), statistics.median(rates["int8"]) / statistics.median(rates["float"])


def frames_of(catalog: Catalog, recipe: Recipe, count: int) -> np.ndarray:
    """Frames of the videos as the network takes them, ``(count, height, width, 3)`` uint8."""
    with ExtractionSpec().decode(catalog.videos, recipe) as pool:
        found = [each[1].images[0] for each in pool.messages(1.0) if each is not None and hasattr(each[1], "images")]
    return np.concatenate(found)[:count]


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.network.families VIDEOS/fights --vit-b networks/b32.onnx")
    parser.add_argument("data", type=Path, help="videos")
    parser.add_argument("--vit-b", type=Path, metavar="ONNX", help="ViT-B/32 as a file, described")
    parser.add_argument("--videos", type=int, default=16, help="how many of them, 20 frames of each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--int8", action="store_true", help="also quantise each")
    parser.add_argument("--only", nargs="+", choices=tuple(_NAMES), default=list(_NAMES), help="of the networks")
    args = parser.parse_args(argv)
    catalog = open_catalog(args.data)
    if args.videos < 1:
        raise UserError("--videos: expected 1 or more")
    catalog = replace(catalog, videos=catalog.videos[: args.videos])
    columns = {"network": ">18", "alone": "8.1f", "extraction": "10.1f", "ratio": "6.2f"}
    columns |= {"int8 cosine": "12.4f", "at worst": "9.4f", "int8 speed": "10.2f"} if args.int8 else {}
    print(
        f"{processor_model()}, {processors()} of its processors; {len(catalog.videos)} videos, 20 frames each; ", end=""
    )
    print(f"medians of {args.rounds}, frames/s")
    table = Table(columns)
    with tempfile.TemporaryDirectory() as folder:
        for key in args.only:
            text, weights = key, "random"
            if key == "vit-s":
                text, weights = f"hub:{write_vit_s(Path(folder, 'vit_s'))}", ""
            elif key == "vit-b":
                if not args.vit_b:
                    continue
                text, weights = str(args.vit_b), ""
            network, source = choose_network(text, weights or None)
            assert source is not None
            recipe = Recipe("uniform:20", network.name, "", *network.check_size(None), layer=choose_layer(network))
            loaded: Any = load_backbone(recipe, Path(), weights=source, batch=0, precision=args.precision, say=print)
            recipe = replace(recipe, weights_digest=loaded.digest)
            images = random_images(20 * len(catalog.videos), recipe.height, recipe.width)
            loaded(images[:64])
            works: dict[str, Callable[[], float]] = {
                "alone": lambda: alone(loaded, images),  # noqa: B023  it is called in this turn of the loop
                "whole": lambda: whole(catalog, recipe, source, loaded),  # noqa: B023
            }
            rates = in_turn(works, args.rounds)
            middle = {each: statistics.median(found) for each, found in rates.items()}
            row: list[float | str] = [_NAMES[key], middle["alone"], middle["whole"], middle["whole"] / middle["alone"]]
            if args.int8:
                row += measure_int8(catalog, recipe, source, loaded, frames_of(catalog, recipe, 320))
            table.add(*row)
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
