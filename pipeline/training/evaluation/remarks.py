"""What the figures of a run mean, in sentences: where they promise more than the world will keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.training.data.dataset import Windows
from pipeline.training.evaluation.baseline import Baseline, baseline
from pipeline.training.evaluation.order_test import OrderTest, order_test
from pipeline.training.evaluation.predictions import Predictions

_WORSE = 0.005  # of the calibration error: less is no difference


def set_beside(
    predictions: Mapping[str, Predictions],
    measured: dict[str, dict[str, Any]],
    logits: Callable[[Windows], np.ndarray],
    groups: Sequence[str],
    scene: str,
    temperature: float,
) -> dict[str, Any]:
    """What stands beside the figures of a run in ``results.json``: simple rules, the order test, and remarks.

    Args:
        predictions: of the head by split.
        measured: figures by split.
        logits: the head; see `order_test`.
        groups: a group for each video of the data set.
        scene: what `scenes.scene_warning` says; empty where there is nothing to say.
        temperature: of the scaling.
    """
    shown = predictions.get("test") or predictions["val"]
    simple, order = baseline(predictions, groups), order_test(shown, logits)
    said = remarks(measured, temperature, simple, order)
    return {
        "baseline": asdict(simple),
        "order_test": asdict(order) if order else None,
        "remarks": [scene, *said] if scene else list(said),
    }


def remarks(
    measured: dict[str, dict[str, Any]], temperature: float, simple: Baseline, order: OrderTest | None
) -> tuple[str, ...]:
    """Sentences on figures that deserve one.

    Args:
        measured: figures by split, see `metrics.measure`, with those before temperature scaling as ``uncalibrated``.
        temperature: of the scaling.
        simple: what simple rules reach on the same splits.
        order: what the head says of clips that are changed in time.
    """
    said = []
    part = "test" if "test" in measured else "val"
    figures = measured[part]
    head, linear, majority = figures["accuracy"], simple.linear.get(part, 0.0), simple.majority.get(part, 0.0)
    if head <= majority:
        said.append(
            f"the head is not better than always saying the most frequent class ({part}: {head:.3f}, {majority:.3f})"
        )
    elif head < linear:
        said.append(
            f"logistic regression on the mean features is better than the head ({part}: {linear:.3f}, {head:.3f})"
        )
    elif head == linear:
        said.append(f"logistic regression on the mean features is as good as the head ({part}: {head:.3f})")
    if order is not None and order.accuracy > majority:
        least = order.accuracy - max(0.01, 1 / figures["videos"])  # a single video says nothing
        as_they_are = f"with all steps in order {order.accuracy:.3f}"
        if order.first >= least:
            said.append(
                f"time is not used: the first step alone gives an accuracy of {order.first:.3f}, {as_they_are}; "
                "the scene may tell the class"
            )
        elif order.shuffled >= least:
            said.append(f"the order of the steps is not used: shuffled they give {order.shuffled:.3f}, {as_they_are}")
    if part == "test" and head < (low := measured["val"]["interval"][0]):
        said.append(
            f"test accuracy {head:.3f} lies below the interval of validation's ({low:.3f} to "
            f"{measured['val']['interval'][1]:.3f}): the test videos come from another world than the training's, "
            "such as other places, cameras or people"
        )
    before, after = figures["uncalibrated"]["ece"], figures["ece"]
    if after > before + _WORSE:
        said.append(
            f"temperature {temperature:.2f}, which suits validation, makes the confidence less true on {part}: "
            f"calibration error {before:.3f} before, {after:.3f} after"
        )
    return tuple(said)
