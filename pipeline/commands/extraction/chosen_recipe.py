"""The recipe and the weights that the options of ``extract`` name; what is wrong is told before any video is looked at.

Networks and stores are imported where they are used: --help and mistakes must not wait for them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.fields import from_args
from pipeline.errors import UserError
from pipeline.extraction.network.engines.choose import INT8, check_measure
from pipeline.extraction.recipe import FRAME_CACHE, Input, Recipe
from pipeline.files.text import parse_size

RAY_HERE = "local"

if TYPE_CHECKING:
    from pipeline.extraction.network.weights import WeightsSource


def stream_of(backbone: str, given: Input | None) -> tuple[str, Input]:
    """Backbone and input; ``flow`` is short for frames of motion."""
    if backbone.lower() != "flow":
        return backbone, given or "rgb"
    if given == "rgb":
        raise UserError("--backbone flow keeps motion, not --input rgb; choose --backbone frames for colours")
    return FRAME_CACHE, given or "farneback"


def chosen_recipe(args: argparse.Namespace, name: str, seen: Input) -> tuple[Recipe, WeightsSource | None, str]:
    """The recipe but for the digest of the weights, the weights, and their licence.

    What is wrong is told before any video is looked at, also where the store has another recipe.
    """
    from pipeline.extraction.network.chosen import check_frames, choose_layer, choose_network
    from pipeline.extraction.store.folder import check_place, refuse_other_recipe
    from pipeline.extraction.store.store import RECIPE_FILE

    network, weights = choose_network(name, args.weights)
    if network.name == FRAME_CACHE:
        _check_no_network(args)
    if args.int8_from and args.precision != INT8:
        raise UserError("--int8-from names an int8 network; add --precision int8")
    if args.measure:
        check_measure(args.engine, args.precision)
    if args.engine != "ray" and (args.ray_workers or args.ray_address != RAY_HERE):
        raise UserError("--ray-address and --ray-workers say where Ray computes; add --engine ray, or leave them out")
    check_place(args.out, Path(args.source), overwrite=args.overwrite)
    if weights is None and network.name != FRAME_CACHE:
        weights = _weights(args)
    size = network.check_size(parse_size(args.size) if args.size else None)
    recipe = from_args(
        Recipe,
        args,
        backbone=network.name,
        weights_digest="",
        height=size[0],
        width=size[1],
        crop=args.crop or network.crop,
        interpolation=args.interpolation or network.interpolation,
        layer=choose_layer(network, args.layer, args.pooling),
        input=seen,
    )
    check_frames(network, recipe)
    if recipe.clip and args.precision == INT8:
        raise UserError(f"--precision int8 is for networks of single images; leave it out with {recipe.sampling}")
    if args.precision != INT8 and weights is not None and not args.overwrite and (args.out / RECIPE_FILE).exists():
        _check_float(args.out)
        refuse_other_recipe(args.out, recipe)
    return recipe, weights, network.licence


def _weights(args: argparse.Namespace) -> WeightsSource:
    """Those that are named, else those that the store was made with, else those of ImageNet."""
    from pipeline.extraction.network.weights import WeightsSource
    from pipeline.extraction.store.store import remembered_weights

    remembered = None if args.weights else remembered_weights(args.out)
    if remembered is None or remembered.is_network:
        return WeightsSource(args.weights or "imagenet")
    return remembered


def _check_no_network(args: argparse.Namespace) -> None:
    """Options that mean nothing for a frame cache are a mistake, not a wish to be passed over."""
    if args.dtype:
        raise UserError(f"--dtype {args.dtype}: frames are kept as raw frames, in uint8")
    alone = {
        "weights": None,
        "pooling": None,
        "layer": None,
        "precision": "auto",
        "int8_from": None,
        "batch": 0,
        "measure": False,
    }
    if args.engine != "ray":  # which decodes on many machines, whatever comes of it
        alone["engine"] = "auto"
    for name, unused in alone.items():
        if (value := getattr(args, name)) != unused:
            option = f"--{name.replace('_', '-')}" + (f" {value}" if value is not True else "")
            raise UserError(f"{option}: frames are kept as raw frames, and no network computes; leave it out")


def _check_float(out: Path) -> None:
    from pipeline.extraction.network.int8_model import expected_digest

    if expected_digest(out):
        raise UserError(f"{out} holds int8 features; add --precision int8, or use another --out")
