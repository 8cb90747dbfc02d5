"""``report.html``: one page, without any other file, that tells what a run learnt and where it fails."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from pipeline.extraction.recipe import PIXELS, Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.files.pages.page import render_page
from pipeline.files.text import plural
from pipeline.lazy import cv2, matplotlib
from pipeline.training.data.dataset import Dataset
from pipeline.training.reports.plots import BLUE, GREY, ORANGE, Curve, draw_curve
from pipeline.videos.preview.thumbnails import fit_image, read_middle_frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEMPLATE = Path(__file__).with_name("report.html")
_INK = "#0a0b0c"  # replaced by the colour of the page's text, which is light in dark mode
_THUMBNAIL = (240, 180)  # pixels, width and height at most
_PATIENCE = 10.0  # seconds without a sign of life, after which a report does without the image of a video


def render_report(
    results: dict[str, Any],
    curves: Sequence[Curve],
    counts: np.ndarray,
    data: Dataset,
    *,
    title: str,
    versions: dict[str, str],
) -> str:
    """The page as text.

    Args:
        results: the content of ``results.json``.
        curves: of each member.
        counts: ``(C, C)`` confusion matrix of the split that is shown: test, or val where nothing is tested.
        data: where the videos are, for thumbnails.
        title: the name of the run.
        versions: of the software.
    """
    part = "test" if "test" in results["measured"] else "val"
    figures = results["measured"][part]
    examples = _thumbnails([*figures["mistakes"], *figures["successes"]], data)
    mistakes = len(figures["mistakes"])
    return render_page(
        _TEMPLATE,
        run=results,
        title=title,
        part=part,
        figures=figures,
        summary=_summary(results, data),
        tiles=_tiles(results, part, figures),
        beside=_beside(results),
        classes=data.classes,
        matrix=matrix_rows(counts, data.classes),
        charts={
            "loss": _curve(curves, "loss"),
            "accuracy": _curve(curves, "accuracy"),
            "reliability": _reliability(figures["reliability"]),
            "coverage": _coverage(figures["coverage"]),
        },
        thumbnails=[
            {"title": f"Most confident mistakes ({part})", "examples": examples[:mistakes]},
            {"title": f"Typical successes ({part})", "examples": examples[mistakes:]},
        ],
        facts=_facts(results, data, versions),
    )


def _summary(results: dict[str, Any], data: Dataset) -> str:
    parts = ", ".join(f"{name} {len(names)}" for name, names in results["split"].items() if names)
    members = results["members"]["count"]
    head = f"{members} heads {results['head']['name']}, averaged" if members > 1 else f"head {results['head']['name']}"
    return (
        f"{plural(len(data.classes), 'class', 'classes')}, {plural(len(data), 'video')} ({parts}), "
        f"{head}, {results['parameters']:,} parameters, trained in {results['seconds']:.1f} s"
    )


def _tiles(results: dict[str, Any], part: str, figures: dict[str, Any]) -> list[dict[str, str]]:
    low, high = figures["interval"]
    accuracy = results["accuracy"]
    best = figures["top_k"]
    tiles = [
        (f"{part} accuracy", f"{figures['accuracy']:.3f}", f"95 %: {low:.2f} to {high:.2f}"),
        ("balanced", f"{figures['balanced_accuracy']:.3f}", "mean recall of the classes"),
        ("log loss", f"{figures['log_loss']:.3f}", "lower is better"),
        ("calibration error", f"{figures['ece']:.3f}", f"temperature {results['temperature']:.2f}"),
        ("train / val", f"{accuracy['train']:.2f} / {accuracy['val']:.2f}", "accuracy"),
    ]
    if "3" in best:
        tiles.insert(2, ("top 3", f"{best['3']:.3f}", "class among the best three"))
    return [dict(zip(("name", "value", "note"), tile, strict=True)) for tile in tiles]


def _beside(results: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Accuracy on val and test of the head, of simple rules, and of the head on test clips that are changed in time."""
    simple, order = results["baseline"], results["order_test"]
    rows = {
        "this head": results["accuracy"],
        "logistic regression on the mean features": simple["linear"],
        "always the most frequent class": simple["majority"],
    }
    if order:
        part = "test" if "test" in results["measured"] else "val"
        rows |= {
            "this head, steps shuffled": {part: order["shuffled"]},
            "this head, first step alone": {part: order["first"]},
        }
    return [
        (name, [f"{values[part]:.3f}" if part in values else "" for part in ("val", "test")])
        for name, values in rows.items()
    ]


def matrix_rows(counts: np.ndarray, classes: Sequence[str]) -> list[tuple[str, list[dict[str, float]]]]:
    """A confusion matrix ``(C, C)`` row by row, each cell with its share of the row."""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    return [
        (name, [{"count": int(n), "share": float(s)} for n, s in zip(row, share, strict=True)])
        for name, row, share in zip(classes, counts, shares, strict=True)
    ]


def _facts(results: dict[str, Any], data: Dataset, versions: dict[str, str]) -> list[tuple[str, str]]:
    recipe = data.recipe
    made = " + ".join(_stream(source.recipe) for source in data.sources)
    head, window, training = results["head"], results["window"], results["training"]
    return [
        ("store", str(data.folder)),
        (
            "features" if len(data.shape) == 1 else "frames",
            f"{made}, {'x'.join(map(str, data.shape))} values a {'clip of frames' if recipe.clip else 'frame'}",
        ),
        ("sampling", f"{recipe.sampling}, {recipe.crop} crop, {recipe.height}x{recipe.width}, {recipe.interpolation}"),
        ("weights", " + ".join(_weights(source) for source in data.sources)),
        ("fingerprint", data.fingerprint),
        ("window", f"{window['length']} steps, stride {window['stride']}, {window['policy']}"),
        ("head", ", ".join(f"{name} {value}" for name, value in head.items())),
        ("training", _settings(training)),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def _settings(training: dict[str, Any]) -> str:
    """What was set; options that vary nothing (None, "", False, and 0 of an augmentation) are left out."""
    varied = {name: value for name, value in training["augmentation"].items() if value}
    others = {name: value for name, value in training.items() if name != "augmentation"}
    set_to = {
        name: value for name, value in (others | varied).items() if value not in (None, "") and value is not False
    }
    return ", ".join(name.replace("_", " ") + ("" if value is True else f" {value}") for name, value in set_to.items())


def _stream(recipe: Recipe) -> str:
    return f"{recipe.backbone}, {recipe.layer}" + ("" if recipe.input == "rgb" else f" of {recipe.input}")


def _weights(source: FeatureSource) -> str:
    recipe = source.recipe
    if recipe.layer == PIXELS:
        return "none: the store holds frames, and no network computed"
    digest = f" ({recipe.weights_digest[:12]}…)" if recipe.weights_digest else ""
    licence = f", licence {source.licence}" if source.licence else ""
    return f"{source.weights_source or 'not known'}{digest}{licence}"


# -- images ----------------------------------------------------------------------------------------


def _svg(figure: Figure) -> Markup:
    """The figure as SVG in the page's own text colour and font."""
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.grid(alpha=0.25, color=GREY)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(GREY)
        axes.tick_params(colors=_INK)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(_INK)
        if legend := axes.get_legend():
            for text in legend.get_texts():
                text.set_color(_INK)
    page = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}):
        figure.savefig(page, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = page.getvalue()
    return Markup(svg[svg.index("<svg") :].replace(_INK, "currentColor"))


def _axes(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.2))
    # Fixed, since finding out how much room labels take is slower than drawing the plot.
    axes = figure.add_axes((0.13, 0.16, 0.84, 0.8))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def _curve(curves: Sequence[Curve], name: str) -> Markup:
    figure, axes = _axes("epoch", name)
    draw_curve(axes, curves, name)
    return _svg(figure)


def _reliability(table: list[dict[str, float]]) -> Markup:
    figure, axes = _axes("confidence", "accuracy")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    most = max(row["count"] for row in table)
    for row in table:
        width = row["to"] - row["from"]
        shade = 0.25 + 0.75 * row["count"] / most
        axes.bar(row["from"], row["accuracy"], width=width * 0.94, align="edge", color=BLUE, alpha=shade)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return _svg(figure)


def _coverage(curve: list[dict[str, float]]) -> Markup:
    figure, axes = _axes("confidence of at least", "share")
    thresholds = [row["threshold"] for row in curve]
    axes.plot(thresholds, [row["accuracy"] for row in curve], color=BLUE, label="accuracy")
    axes.plot(thresholds, [row["coverage"] for row in curve], color=ORANGE, label="predicted")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.legend(frameon=False)
    return _svg(figure)


def _thumbnails(examples: list[dict[str, Any]], data: Dataset) -> list[dict[str, Any]]:
    """The examples, each with the middle frame of its video as a ``data:`` address, empty where there is none."""
    rows = {video.name: row for row, video in enumerate(data.videos)}
    videos = [(number, data.videos[rows[example["video"]]].path) for number, example in enumerate(examples)]
    there = [(number, path) for number, path in videos if path.exists()]  # no process is started for what is gone
    frames = dict(read_middle_frames(there, _THUMBNAIL, workers=1, timeout=_PATIENCE))
    with_images = []
    for number, example in enumerate(examples):
        read = frames.get(number)
        image = read if isinstance(read, np.ndarray) else _stored_frame(data, rows[example["video"]])
        with_images.append({**example, "image": "" if image is None else _address(image)})
    return with_images


def _stored_frame(data: Dataset, row: int) -> np.ndarray | None:
    """The middle frame of a video in a frame cache; None in a store of features."""
    if data.recipe.layer != PIXELS:
        return None
    middle = data.offsets[row] + data.steps[row] // 2
    return fit_image(data.features.gather(np.array([middle]), np.array([1]), 1)[0, 0], _THUMBNAIL)


def _address(image: np.ndarray) -> str:
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode() if done else ""
