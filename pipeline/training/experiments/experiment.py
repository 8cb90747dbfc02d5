"""One training from store to checkpoint folder: split, windows, fit, evaluation, files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.extraction.inputs.augmentation import check_varies
from pipeline.training.data.dataset import Dataset, Windows, check_window, windows_of
from pipeline.training.data.splits import Split, make_split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation.calibration import expected_calibration_error, log_loss, threshold_for_accuracy
from pipeline.training.evaluation.metrics import measure, report_text
from pipeline.training.evaluation.predictions import Predictions, predictions_of, temperature_of
from pipeline.training.evaluation.remarks import set_beside
from pipeline.training.heads.ensemble import average_logits
from pipeline.training.heads.registry import check_input, head_spec
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.likeness.groups import groups_for
from pipeline.training.likeness.leakage import LeakReport, find_leaks
from pipeline.training.likeness.scenes import scene_warning
from pipeline.training.loop.fit import Trained, fit_members, logits_of
from pipeline.training.loop.kept_weights import KeptWeights
from pipeline.training.loop.members import share_out
from pipeline.training.loop.resume import Resumable
from pipeline.training.loop.schedule import Epoch, Replay
from pipeline.training.loop.spec import TrainSpec
from pipeline.training.reports import plots
from pipeline.videos.catalog.catalog import SPLITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run:
    """A trained head and its predictions of each split."""

    data: Dataset
    split: Split
    window: WindowSpec
    head: HeadSpec
    trained: Trained
    predictions: dict[str, Predictions]
    """By split; splits without videos are missing."""
    plain: dict[str, Predictions]
    """The same before temperature scaling."""
    leaks: LeakReport
    results: dict[str, Any]
    """The content of ``results.json``."""

    def __repr__(self) -> str:
        return f"Run({self.head.name}, accuracy {self.results['accuracy']})"

    def report(self, split: str = "test") -> str:
        """Precision, recall and F1 of each class on the train, val or test videos, as a table of text."""
        return report_text(self.predictions[split])

    def curves(self) -> Figure:
        """Loss and accuracy over the epochs."""
        return plots.curves(self.trained.curves())


def train(
    data: Dataset,
    split: Split | None = None,
    *,
    head: HeadSpec | None = None,
    groups: Sequence[str] | None = None,
    window: WindowSpec | None = None,
    spec: TrainSpec | None = None,
    abstain_below: float = 0.0,
    abstain_accuracy: float | None = None,
    command: str = "",
    state: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    kept: KeptWeights | None = None,
) -> Run:
    """Train on the train split, choose by the val split, then look at the test split for the first time.

    Args:
        data: the videos.
        split: which of them are for what; by default the catalog's, else one drawn by group.
        head: what to train; by default ``gru`` with its own settings.
        groups: a group for each video, for the leak report and the interval; by default those that the split is drawn
            by, and each video by itself where ``split`` is given.
        window: how sequences are cut; by default as `Dataset.default_window` says.
        spec: how to train.
        abstain_below: the probability below which the checkpoint calls a label "unknown".
        abstain_accuracy: find that probability instead: validation predictions that are surer are right in this share.
        command: what repeats the run, for the report.
        state: a file that keeps the state after each epoch, with one more for each further member; where it exists,
            the training goes on from it.
        on_epoch: called after each epoch.
        kept: where weights of single epochs are kept.

    Raises:
        UserError: see `fit` and `check_window`.
    """
    spec = spec or TrainSpec()
    head = head or head_spec()
    if split is None:
        groups, notes = groups_for(data) if groups is None else (list(groups), ())
        split = make_split(data, groups, seed=spec.seed)
        split = replace(split, notes=(*notes, *split.notes))
    window = window or data.default_window(split.train)
    check_window(data, window)
    check_input(head, data.shape, str(data.folder))
    if spec.augment:
        for source in data.sources:
            check_varies(source.recipe.input)
    members = share_out(data, split, groups if groups is not None else data.names, head, spec)
    split = members.split
    windows = {name: windows_of(data, rows, window) for name, rows in split.parts().items()}
    longer, rows = data.with_copies(split.train)
    learnt = windows["train"] if longer is data else windows_of(longer, rows, window)
    pairs = members.pairs(learnt, windows["train"], windows["val"])
    resumables = None
    if state is not None:
        same = _settings_of(data, split, window, head, replace(spec, members=members.count))
        resumables = [Resumable(path, same) for path in state_files(state, members.count)]
    trained = fit_members(data, learnt, pairs, head, spec, on_epoch=on_epoch, resumables=resumables, kept=kept)
    groups = list(groups) if groups is not None else data.names
    temperature = temperature_of(predictions_of("val", data, *trained.out_of_fold()))
    trained = trained.tempered(temperature)
    predictions, plain, measured = evaluate_all(data, trained, windows, groups, temperature)
    if abstain_accuracy is not None:
        held = predictions_of("val", data, *trained.out_of_fold(), temperature=temperature)
        abstain_below = threshold_for_accuracy(held.probabilities, held.labels, abstain_accuracy)
    leaks = find_leaks(data, split, groups)
    results = _results(data, split, window, head, trained, members.count) | {
        "accuracy": {name: figures["accuracy"] for name, figures in measured.items()},
        "log_loss": {name: figures["log_loss"] for name, figures in measured.items()},
        "augmented_copies": len(rows) - len(split.train),
        "seed": spec.seed,
        "notes": [*split.notes, *members.notes],
        "temperature": temperature,
        "abstain_below": abstain_below,
        "command": command,
        "leaks": leaks.to_json(),
        "measured": measured,
        **set_beside(predictions, measured, trained.logits, groups, scene_warning(data, split, groups), temperature),
    }
    return Run(data, split, window, head, trained, predictions, plain, leaks, results)


def _results(
    data: Dataset, split: Split, window: WindowSpec, head: HeadSpec, trained: Trained, members: int
) -> dict[str, Any]:
    """What was trained on what, and how it went; of so many ``members``, which Ctrl-C can make fewer."""
    return {
        "seconds": trained.seconds,
        "epochs": max(len(member.schedule.history) for member in trained.members),
        "best_epoch": int(np.median([member.schedule.best_epoch for member in trained.members])),
        "phases": trained.schedule.phase_lengths,
        "members": _measure_members(trained, members),
        "parameters": int(trained.model.count_params()),
        "interrupted": trained.interrupted,
        "head": head.settings(),
        "window": asdict(window),
        "training": asdict(replace(trained.spec, members=members)),
        "store": str(data.folder),
        "split": names_by_split(data, split),
    }


def state_files(state: Path, count: int) -> list[Path]:
    """Where the state of each member is kept: the file itself for the first one."""
    return [state.with_suffix(f".{number}{state.suffix}") if number > 1 else state for number in range(1, count + 1)]


def _measure_members(trained: Trained, wanted: int) -> dict[str, Any]:
    """How each member did on the videos that it was validated on, and how far they lie apart."""
    each = []
    for member in trained.members:
        plain = predictions_of("val", member.val.data, member.val, member.val_logits)
        each.append(
            {
                "best_epoch": member.schedule.best_epoch,
                "epochs": len(member.schedule.history),
                "videos": len(plain.videos),
                "accuracy": float((plain.predicted == plain.labels).mean()),
                "log_loss": log_loss(plain.probabilities, plain.labels),
            }
        )
    spread = {f"{name}_spread": float(np.std([row[name] for row in each])) for name in ("accuracy", "log_loss")}
    return {"count": len(each), "wanted": wanted, "each": each, **spread}


def _settings_of(data: Dataset, split: Split, window: WindowSpec, head: HeadSpec, spec: TrainSpec) -> dict[str, Any]:
    """All that must be the same for a training to go on; more epochs may be asked for."""
    return {
        "recipe": data.fingerprint,
        "split": names_by_split(data, split),
        "head": head.settings(),
        "window": asdict(window),
        "training": asdict(replace(spec, epochs=1)),
    }


def trained_on_all(run: Run, groups: Sequence[str], *, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Run:
    """The run with a model that learnt from all videos, those of validation and test as well.

    Several members are validated in turn, as before; a single head is trained for the epochs that validation chose, at
    their learning rates. Predictions, figures, curves and temperature stay those of the first model, as no video is
    left to measure the second.

    Args:
        run: what was chosen.
        groups: a group for each video.
        on_epoch: called after each epoch.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    data, first = run.data, run.trained
    everything = np.sort(np.concatenate([*run.split.parts().values()]))
    nothing = everything[:0]
    spec, schedule = replace(first.spec, members=len(first.members)), None
    members = share_out(data, Split(everything, nothing, nothing), groups, run.head, spec)
    if members.count == 1:  # the rates are those that were decayed
        spec, schedule = replace(spec, rate_decay=0.0), Replay.of(first.schedule)
    longer, rows = data.with_copies(everything)
    learnt, plain = windows_of(longer, rows, run.window), windows_of(data, everything, run.window)
    pairs = members.pairs(learnt, plain, windows_of(data, run.split.val, run.window))
    final = fit_members(data, learnt, pairs, run.head, spec, on_epoch=on_epoch, schedule=schedule)
    if final.interrupted:
        raise KeyboardInterrupt
    seconds = first.seconds + final.seconds
    told = [member.schedule for member in first.members]  # whose curves and epochs are shown
    kept = tuple(replace(member, schedule=schedule) for member, schedule in zip(final.members, told, strict=True))
    trained = replace(final, members=kept, seconds=seconds, spec=first.spec).tempered(first.temperature)
    return replace(run, trained=trained, results=run.results | {"seconds": seconds, "all_videos": len(everything)})


def evaluate_all(
    data: Dataset, trained: Trained, windows: dict[str, Windows], groups: Sequence[str], temperature: float
) -> tuple[dict[str, Predictions], dict[str, Predictions], dict[str, dict[str, Any]]]:
    """What a head says of the windows of each split, and how right it is.

    What several members say of the videos that they were validated on stands for validation where there are no other
    validation videos.

    Args:
        data: what the windows are over.
        trained: the head.
        windows: by split; splits without windows are left out.
        groups: a group for each video.
        temperature: that suits best what single heads say of validation videos.

    Returns:
        Predictions, predictions before temperature scaling, and figures, by split.
    """
    held = trained.out_of_fold()
    plain = {"val": predictions_of("val", data, *held)}
    predictions = {"val": predictions_of("val", data, *held, temperature=temperature)}
    outside = temperature if len(trained.members) == 1 else 1.0
    for name, part in windows.items():
        if len(part):
            each = trained.each(functools.partial(logits_of, windows=part, classes=len(data.classes)))
            plain[name] = predictions_of(name, data, part, average_logits(each))
            scaled = average_logits(each, trained.temperature)
            predictions[name] = predictions_of(name, data, part, scaled, temperature=outside)
    predictions, plain = ({name: one[name] for name in SPLITS if name in one} for one in (predictions, plain))
    measured = {name: measure(part, groups) for name, part in predictions.items()}
    for name, before in plain.items():
        measured[name]["uncalibrated"] = {
            "log_loss": log_loss(before.probabilities, before.labels),
            "ece": expected_calibration_error(before.probabilities, before.labels),
        }
    return predictions, plain, measured


def names_by_split(data: Dataset, split: Split) -> dict[str, list[str]]:
    return {name: names_of(data, rows) for name, rows in split.parts().items()}


def names_of(data: Dataset, rows: np.ndarray) -> list[str]:
    """The names of the videos ``rows``."""
    return [data.videos[row].name for row in rows]
