"""Several GPUs on one machine: one process for each, every process sees its own GPU only, and all write one store."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from pipeline.cli import command
from pipeline.errors import UserError
from pipeline.parallel.machine import processors


def parse_devices(text: str) -> list[str]:
    """``0,1,3``: numbers or UUIDs of GPUs, as in CUDA_VISIBLE_DEVICES.

    Raises:
        UserError: not such a list, or a device that is named twice.
    """
    devices = [device.strip() for device in text.split(",")]
    if not all(re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", device) for device in devices):
        raise UserError(f"`devices={text}`: expected numbers of GPUs, such as 0,1")
    if len(set(devices)) < len(devices):
        raise UserError(f"`devices={text}`: a GPU is named twice")
    return devices


def calls(
    words: Sequence[str], argv: Sequence[str], devices: Sequence[str], worker: tuple[int, int], workers: int = 0
) -> list[tuple[list[str], dict[str, str]]]:
    """The command line and the environment of the process of each device.

    Args:
        words: how the command is called, such as ``python -m pipeline extract``.
        argv: its arguments; what belongs to the machine as a whole is replaced.
        devices: one process for each.
        worker: the (i, n) of this machine, whose share is divided further.
        workers: decoder processes of each; 0 to share the processors.
    """
    i, n = worker
    count = len(devices)
    workers = workers or max(1, processors() // count)
    kept = _without(argv, ("--devices", "--worker", "--workers"), ("--overwrite",))
    return [
        (
            [*words, *kept, "--workers", str(workers), "--worker", f"{i + n * place}/{n * count}"],
            {"CUDA_VISIBLE_DEVICES": device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        )
        for place, device in enumerate(devices)
    ]


def _without(argv: Sequence[str], with_value: Sequence[str], plain: Sequence[str]) -> list[str]:
    """Arguments without some flags, whether written ``--flag value`` or ``--flag=value``."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word in with_value:
            next(words, None)
        elif word not in plain and word.partition("=")[0] not in with_value:
            kept.append(word)
    return kept


def run_all(jobs: Sequence[tuple[list[str], Mapping[str, str]]]) -> int:
    """Run the processes side by side and return the gravest exit status; an interruption ends all of them."""
    processes = [subprocess.Popen(job, env={**os.environ, **added}) for job, added in jobs]
    try:
        return max(_status(process.wait()) for process in processes)
    except BaseException:
        for process in processes:
            process.terminate()  # each keeps what it has finished
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
        raise


def _status(code: int) -> int:
    return code if code >= 0 else command.CALLED_WRONGLY  # a process that was killed did not do its share
