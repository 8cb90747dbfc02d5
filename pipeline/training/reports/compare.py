"""One page that compares runs: the checkpoints side by side, by validation loss, with what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.pages.page import render_page
from pipeline.files.system import link_from
from pipeline.training.checkpoint import Checkpoint

_TEMPLATE = Path(__file__).with_name("compare.html")


def write_comparison(folders: Sequence[Path], path: Path, *, title: str) -> None:
    """Write the page.

    Args:
        folders: of checkpoints.
        path: of the page; reports are linked relative to it.
        title: its heading.

    Raises:
        UserError: there are no folders, or one is not a checkpoint or has no figures of a validation.
    """
    if not folders:
        raise UserError("there are no runs to compare; name checkpoint folders")
    runs = [(folder, Checkpoint.load(folder).metrics) for folder in folders]
    for folder, results in runs:
        if "measured" not in results:  # of a model that was trained elsewhere
            raise UserError(f"{folder} has no figures of a validation, so it cannot be compared; leave it out")
    try:
        rows, varied, note = _compared(runs, path)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"the results.json of these runs do not compare ({' '.join(str(error).split())[:80]})"
        ) from None
    page = render_page(_TEMPLATE, title=title, rows=rows, varied=varied, note=note, best=not note and len(rows) > 1)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def _compared(runs: Sequence[tuple[Path, dict[str, Any]]], path: Path) -> tuple[list[dict[str, Any]], list[str], str]:
    """The rows of the page, the settings that differ, and what is to be known of the comparison."""
    settings = [_settings(results) for _, results in runs]
    # Only what differs is worth a column.
    varied = [name for name in settings[0] if len({str(of_run.get(name)) for of_run in settings}) > 1]
    rows = []
    for (folder, results), of_run in zip(runs, settings, strict=True):
        report = folder / "report.html"
        rows.append(
            {
                "name": _name(folder, results),
                "folder": folder.name,
                "report": link_from(path.parent, report) if report.exists() else "",
                "val_loss": float(results["measured"]["val"]["uncalibrated"]["log_loss"]),
                "val": float(results["accuracy"]["val"]),
                "test": None if (test := results["accuracy"].get("test")) is None else float(test),
                "head": results["head"]["name"],
                "settings": [of_run.get(name, "") for name in varied],
                "epochs": int(results["epochs"]),
                "parameters": int(results["parameters"]),
                "seconds": float(results["seconds"]),
            }
        )
    rows.sort(key=lambda row: row["val_loss"])
    # Members validate on the training videos themselves.
    splits = {str(results["split"]["val"] or results["split"]["train"]) for _, results in runs}
    note = "" if len(splits) == 1 else "These runs had different validation videos, so their figures do not compare."
    return rows, varied, note


def _name(folder: Path, results: dict[str, Any]) -> str:
    """The settings of a trial of a search, whose folder has a name that says nothing; of another run its folder's."""
    point = results.get("point")
    return ", ".join(f"{name} {value}".replace("_", " ") for name, value in point.items()) if point else folder.name


def _settings(results: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run by a short name."""
    head, training = results["head"], results["training"]
    flat = {name: value for name, value in head.items() if name != "name"}
    flat |= {"window": results["window"]["length"], "stride": results["window"]["stride"]}
    flat |= {name.replace("_", " "): value for name, value in training.items() if not isinstance(value, dict)}
    flat |= {name.replace("_", " "): value for name, value in training["augmentation"].items()}
    return flat | {"store": results["store"]}
