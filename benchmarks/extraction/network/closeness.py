"""Features of other networks than InceptionV3 against what their own framework gives for the same images, in float32.

Of an ONNX file the other side is ONNX Runtime's own session, whose pixels are scaled here by hand; of a preset of
keras-hub it is keras-hub's own converter and backbone. The smallest cosine and the largest difference count.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Table, cosines, random_images
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.network.by_file.description import SCALINGS, read_description
from pipeline.extraction.network.by_hub.preset import Preset
from pipeline.extraction.network.chosen import choose_layer, choose_network
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.recipe import Recipe


def own_output(name: str, images: np.ndarray) -> np.ndarray:
    """What the network's own framework gives out for the images."""
    if not name.startswith("hub:"):
        import onnxruntime

        about = read_description(Path(name))
        mean, std = SCALINGS[about.scaling] if about.scaling else (about.mean, about.std)
        pixels = ((images / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2).astype(np.float32)
        session = onnxruntime.InferenceSession(name)
        return session.run([about.output or session.get_outputs()[0].name], {session.get_inputs()[0].name: pixels})[0]
    import keras_hub

    preset = name.removeprefix("hub:")
    backbone: Any = keras_hub.models.Backbone.from_preset(preset)
    backbone = getattr(backbone, "vision_encoder", backbone)
    pixels = keras_hub.layers.ImageConverter.from_preset(preset)(images)
    return np.asarray(backbone(dict.fromkeys(backbone.input, pixels) if isinstance(backbone.input, dict) else pixels))


def prefix_of(network: Any) -> int:
    """Tokens before those of the patches."""
    return network.family.prefix(network.settings) if isinstance(network, Preset) else network.description.prefix_tokens


def part_of(output: np.ndarray, layer: str, prefix: int) -> np.ndarray:
    """The layer of an output of tokens, or a vector as it is."""
    parts = {"cls": lambda: output[:, 0], "mean": lambda: output[:, prefix:].mean(axis=1), "vector": lambda: output}
    return np.concatenate([parts[name]() for name in layer.split("+")], axis=1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.network.closeness vits14.onnx hub:presets/dinov2_small")
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="an ONNX file with its .yaml, or hub:NAME")
    parser.add_argument("--images", type=int, default=8)
    args = parser.parse_args(argv)
    table = Table({"network": ">40", "engine": ">10", "layer": ">8", "smallest cosine": "16.8f", "difference": "12.2g"})
    for name in args.networks:
        network, source = choose_network(name)
        layer = choose_layer(network)
        recipe = Recipe("all", network.name, "", *network.check_size(None), layer=layer)
        images = random_images(args.images, recipe.height, recipe.width)
        output = part_of(own_output(name, images), layer, prefix_of(network))
        for engine in ("openvino", "onnxruntime" if not name.startswith("hub:") else "keras"):
            made: Any = load_backbone(
                recipe, Path(), weights=source, batch=args.images, engine=engine, precision="float32"
            )
            found = made(images)
            table.add(
                Path(name).name, engine, layer, float(cosines(found, output).min()), float(abs(found - output).max())
            )
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
