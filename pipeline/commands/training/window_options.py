"""The options that cut sequences into windows, by steps or by seconds."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from pipeline.cli.fields import add_options, given, options_of
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.training.data.windows import WindowSpec, window_in_seconds
from pipeline.videos.media.sampling import Sampling

if TYPE_CHECKING:
    import numpy as np


def add_windows(made: Parser, *, group: str = "", leave_out: Collection[str] = ()) -> None:
    """Add the options; ``leave_out`` are fields of `WindowSpec`."""
    add_options(made, WindowSpec, group=group, leave_out=leave_out, defaults=dict.fromkeys(options_of(WindowSpec)))
    target = made.group(group) if group else made
    target.add_argument("--window-seconds", type=float, metavar="S", help="windows of this duration instead")
    target.add_argument("--stride-seconds", type=float, metavar="S", help="between the starts of such windows")


def chosen_window(
    args: argparse.Namespace, sampling: str, apart: Callable[[], np.ndarray], default: WindowSpec | None = None
) -> WindowSpec | None:
    """The window that was asked for.

    Args:
        args: of the command.
        sampling: how the steps were picked.
        apart: tells the seconds between the steps of each video; see `window_in_seconds`.
        default: where none was asked for, and for what was not said.

    Raises:
        UserError: both steps and seconds, a stride of nothing, or what `WindowSpec` refuses.
    """
    steps = given(WindowSpec, args)
    if steps.get("stride") == 0:
        raise UserError("--stride 0: expected 1 or more steps; leave it out for windows that do not overlap")
    policy = steps.get("policy", "pad")
    if (args.window_seconds, args.stride_seconds) != (None, None):
        if steps.keys() - {"policy"}:
            raise UserError("--window and --stride count steps; use either them or --window-seconds, --stride-seconds")
        return window_in_seconds(
            args.window_seconds, args.stride_seconds, apart(), Sampling.parse(sampling), policy=policy
        )
    if not steps:
        return default
    if default is None and "length" not in steps:
        raise UserError("--stride needs --window")
    return WindowSpec(**({"length": default.length} if default else {}) | steps)
