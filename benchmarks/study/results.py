"""The table of the study as CSV and Markdown, and its plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.study.questions import GROUPS
from pipeline.files.atomic import atomic_write

COLUMNS = (
    *("question", "data", "setting", "accuracy", "spread", "lowest", "trainings"),
    *("extraction_s", "training_s", "epoch_s", "epochs", "memory_mb", "parameters"),
)


def as_text(row: dict[str, Any]) -> dict[str, str]:
    """A line of the table with as many digits as mean something."""
    forms = {"accuracy": ".3f", "spread": ".3f", "lowest": ".3f", "extraction_s": ".0f", "training_s": ".1f"}
    forms |= {"epoch_s": ".3f", "epochs": ".0f", "memory_mb": ".0f", "parameters": ","}
    return {name: format(row[name], forms[name]) if name in forms else str(row[name]).strip() for name in COLUMNS}


def write_markdown(rows: list[dict[str, Any]], path: Path) -> None:
    """The table for a README."""
    lines = [
        "| question | data | setting | test accuracy | lowest | stage one, s | training, s | epochs | epoch, s | "
        "memory, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        text = as_text(row)
        figures = (f"{text['accuracy']} ± {text['spread']}", *(text[name] for name in ("lowest", "extraction_s")))
        figures += tuple(text[name] for name in ("training_s", "epochs", "epoch_s", "memory_mb"))
        lines.append("| " + " | ".join((text["question"], text["data"], text["setting"], *figures)) + " |")
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel for each question, a bar for each setting and data set, and the spread on it."""
    from matplotlib.figure import Figure

    from pipeline.training.reports.plots import save_figure

    questions = list(dict.fromkeys(row["question"] for row in rows))
    settings = {q: list(dict.fromkeys(row["setting"] for row in rows if row["question"] == q)) for q in questions}
    heights = [len(settings[question]) + 1 for question in questions]
    figure = Figure(figsize=(8, 0.34 * sum(heights) + 1), layout="constrained")
    panels = figure.subplots(len(questions), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
    shown = [data for data in GROUPS if any(row["data"] == data for row in rows)]
    colours = dict(zip(shown, ("#1f6fb2", "#d9701e"), strict=False))
    for axes, question in zip(panels[:, 0], questions, strict=True):
        names = settings[question]
        for number, (data, colour) in enumerate(colours.items()):
            here = [row for row in rows if (row["question"], row["data"]) == (question, data)]
            places = [names.index(row["setting"]) + 0.38 * (number - (len(shown) - 1) / 2) for row in here]
            values, spreads = [row["accuracy"] for row in here], [row["spread"] for row in here]
            axes.barh(places, values, 0.36, xerr=spreads, color=colour, label=data, error_kw={"lw": 1})
        axes.set_yticks(range(len(names)), [name.strip() for name in names])
        axes.invert_yaxis()
        axes.set_title(question, loc="left", fontsize=10)
        axes.set_xlim(0, 1.05)
        axes.grid(axis="x", alpha=0.25)
    panels[0, 0].legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    panels[-1, 0].set_xlabel("test accuracy; the line is one standard deviation over folds and seeds")
    save_figure(figure, path)
