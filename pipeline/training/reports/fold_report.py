"""The page of a cross-validation: how right it was, fold by fold and seed by seed, and what it took for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.pages.page import render_page
from pipeline.training.reports.report import matrix_rows

_TEMPLATE = Path(__file__).with_name("folds.html")


def render_fold_report(results: Mapping[str, Any], rows: Sequence[Mapping[Any, Any]], *, title: str) -> str:
    """The page as text.

    Args:
        results: the content of the ``results.json`` of the cross-validation.
        rows: of ``folds.csv``.
        title: the name of the run.
    """
    low, high = results["interval"]
    lowest, seeds = results["lowest_fold"], results["seeds"]
    over_seeds = f"± {results['spread_over_seeds']:.3f}" if len(seeds) > 1 else "one seed"
    tiles = [
        ("test accuracy", f"{results['accuracy']:.3f}", f"95 %: {low:.2f} to {high:.2f}, groups drawn anew"),
        (
            "logistic regression",
            f"{results['linear_accuracy']:.3f}",
            f"most frequent class {results['majority_accuracy']:.3f}",
        ),
        ("over seeds", over_seeds, f"seeds: {len(seeds)}"),
        (
            "lowest fold",
            f"{lowest['accuracy']:.3f}",
            f"of {lowest['videos']} videos; ± {results['spread_over_folds']:.3f} over folds",
        ),
        ("log loss", f"{results['log_loss']:.3f}", "lower is better"),
        ("calibration error", f"{results['ece']:.3f}", f"before scaling {results['ece_uncalibrated']:.3f}"),
    ]
    head = results["head"]
    return render_page(
        _TEMPLATE,
        title=title,
        tiles=tiles,
        rows=rows,
        seeds=list(zip(seeds, results["accuracy_of_seeds"], strict=True)),
        classes=results["classes"],
        matrix=matrix_rows(np.array(results["confusion"]), results["classes"]),
        facts={
            "store": results["store"],
            "head": ", ".join(f"{name} {value}" for name, value in head.items()),
            "members of each training": str(results["training"]["members"]),
            "window": f"{results['window']['length']} steps, stride {results['window']['stride']}",
        },
        command=results["command"],
    )
