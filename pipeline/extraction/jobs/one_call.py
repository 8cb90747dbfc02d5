"""Stage one as one call, for a notebook or a script of one's own: videos in, a store of features out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.chosen import check_frames, choose_layer, choose_network
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import FRAME_CACHE, Recipe
from pipeline.extraction.store.folder import check_place
from pipeline.extraction.store.store import FeatureStore, known_digest
from pipeline.videos.catalog.catalog import open_catalog


def extract(
    videos: str | Path,
    out: str | Path,
    *,
    sampling: str = "uniform:20",
    backbone: str = "inceptionv3",
    weights: str | None = None,
    size: tuple[int, int] | None = None,
    spec: ExtractionSpec | None = None,
) -> FeatureStore:
    """Send videos through a frozen network once and keep the feature sequences.

    The call may be stopped and repeated at any time: it looks at new and changed videos only. A video that cannot be
    used is a row of ``failures.csv`` in the store, and the others go on. What the command ``extract`` can do besides
    (int8, motion, augmented copies, several machines) it does on the same store.

    Args:
        videos: a folder ``DATA/[split/]<Class>/``, a table, or one video.
        out: the store: absent, empty, or a store of the same recipe.
        sampling: which frames of a video; see `Sampling`.
        backbone: a network of keras.applications by name, the path of a network file, or ``frames`` to keep the images
            themselves.
        weights: ``imagenet`` (the default), a file, or ``random[:SEED]``; nothing with ``frames`` and network files.
        size: (height, width) in pixels of the network's input; the network's own by default.
        spec: what decides the speed.

    Returns:
        The store, opened for reading.

    Raises:
        UserError: there are no videos, the folder holds something else, or there is no such network.
    """
    out = Path(out)
    network, source = choose_network(backbone, weights)
    if source is None and network.name != FRAME_CACHE:
        source = WeightsSource("imagenet")
    catalog = open_catalog(videos)
    check_place(out, Path(videos))
    recipe = Recipe(
        sampling,
        network.name,
        "",
        *network.check_size(size),
        crop=network.crop,
        interpolation=network.interpolation,
        layer=choose_layer(network),
    )
    check_frames(network, recipe)
    spec = spec or ExtractionSpec()
    loaded = None
    if source is not None:
        digest = known_digest(out, source)
        if not digest:
            loaded = load_backbone(recipe, out, weights=source, batch=spec.batch)
            digest = loaded.digest
        recipe = replace(recipe, weights_digest=digest)
    extraction = Extraction(catalog, out, recipe, source, spec)
    if not extraction.look().extract:
        extraction.copy_known()
        return FeatureStore(out)
    with extraction.decode() as pool:
        # Decoding has begun; a network that is not there yet is loaded meanwhile.
        loaded = loaded or load_backbone(recipe, out, weights=source, batch=spec.batch)
        if source is not None and loaded.digest != recipe.weights_digest:
            raise UserError(f"`weights={source.text}`: {out} was made with other weights; choose another `out`")
        extraction.run(pool, loaded, loaded.provenance)
    return FeatureStore(out)
