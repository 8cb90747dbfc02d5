"""Stage two on JAX: it reads what TensorFlow wrote, learns the same, and shares batches out to several devices.

A process has one Keras backend, so all of it happens in one other process, on a CPU that JAX takes for two devices.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.commands.training import train
from pipeline.errors import UserError
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.compute.devices import distribute
from pipeline.training.evaluation.predict import predict
from pipeline.training.heads.registry import build_model
from tests.training.compute import on_jax
from tests.training.stores import write_store

ROOT = Path(__file__).parents[3]
without_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the other process is given."""
    folder = tmp_path_factory.mktemp("jax")
    write_store(folder / "store")
    options = ["--head", "lstm", "--units", "8", "--epochs", "2", "--quiet", "--group", "none"]
    assert train.main([str(folder / "store"), "--out", str(folder / "checkpoint"), *options]) == 0
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    weights = build_model(on_jax.HEAD, **on_jax.SHAPE).get_weights()
    np.savez(
        folder / "steps.npz",
        features=random.normal(size=(5, 8, 6, 260)).astype(np.float16),
        mask=np.arange(6) < random.integers(1, 7, (5, 8, 1)),
        targets=np.eye(3, dtype=np.float32)[random.integers(0, 3, (5, 8))],
        weights=random.uniform(0, 2, (5, 8)).astype(np.float32),
        **{f"weight{i}": weight for i, weight in enumerate(weights)},
    )
    return folder


@pytest.fixture(scope="module")
def answers(folder):
    flags = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.training.compute.on_jax", str(folder)]
    done = subprocess.run(command, env=os.environ | flags, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[np.ndarray]] = {}
    with np.load(folder / "answers.npz") as arrays:
        for name in arrays.files:
            found.setdefault(name.partition("_")[0], []).append(arrays[name])
    return found


@without_jax
@pytest.mark.slow
def test_it_reads_a_checkpoint_of_tensorflow(folder, answers):
    from pipeline.training.data.dataset import open_dataset

    data = open_dataset(folder / "store")
    expected = predict(Checkpoint.load(folder / "checkpoint"), data, np.arange(len(data)), "all").probabilities
    np.testing.assert_allclose(answers["loaded"][0], expected, atol=1e-4)


@without_jax
@pytest.mark.slow
def test_without_dropout_every_step_is_that_of_tensorflow(folder, answers):
    expected = on_jax.five_steps(dict(np.load(folder / "steps.npz")))
    for devices in (1, 2):
        for mine, theirs in zip(answers[f"steps{devices}"], expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=2e-4)


@without_jax
@pytest.mark.slow
def test_with_dropout_it_learns_and_several_devices_learn_the_same(answers):
    assert answers["seeds"][0], "dropout drew the same twice"
    losses = answers["trained1"][-1]
    assert losses[-1] < 0.75 * losses[0]
    np.testing.assert_allclose(answers["trained2"][-1], losses, rtol=1e-2)


def test_tensorflow_says_that_it_takes_one_device():
    assert distribute() == ""
    assert distribute(1) == ""
    with pytest.raises(UserError, match="there is only cpu:0"):
        distribute(2)
    with pytest.raises(UserError, match="expected 1 or more"):
        distribute(0)
