"""The backbone on other Keras backends, each in a process of its own: the features of TensorFlow, compiled once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.engines import keras as keras_engine
from pipeline.extraction.network.weights import WeightsSource
from pipeline.files.user_cache import VARIABLE

ROOT = Path(__file__).parents[4]
_JAX_SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)
_CHILD = """
import sys
import keras
import numpy as np
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.weights import WeightsSource

traced = 0
for name in ("stateless_call", "__call__"):
    def counting(self, *args, _real=getattr(keras.Model, name), **kwargs):
        global traced
        traced += 1
        return _real(self, *args, **kwargs)
    setattr(keras.Model, name, counting)

name, size, images, out = sys.argv[1], int(sys.argv[2]), np.load(sys.argv[3]), sys.argv[4]
backbone = Backbone(name, weights=WeightsSource("random:3"), size=(size, size), batch=4)
features = backbone(images)
after_one = traced
for count in (1, 4, 9):
    assert backbone(images[:count]).shape == (min(count, len(images)), backbone.dimensions)
np.savez(out, features=features, traced_again=traced - after_one, digest=backbone.digest)
print(keras.backend.backend())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize(("name", "size"), [("tiny", 32), ("mobilenetv2", 64)])
def test_features_are_those_of_tensorflow(backend, name, size, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    images = np.random.default_rng(0).integers(0, 256, (10, size, size, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    child = [sys.executable, "-c", _CHILD, name, str(size), str(tmp_path / "images.npy"), str(tmp_path / "out.npz")]
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(child, env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [backend]
    found = np.load(tmp_path / "out.npz")
    here = Backbone(name, weights=WeightsSource("random:3"), size=(size, size), batch=4)
    expected = here(images)
    assert str(found["digest"]) == here.digest
    np.testing.assert_allclose(found["features"], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    if backend == "jax":
        assert found["traced_again"] == 0


def test_jax_keeps_what_it_compiles_for_a_gpu(monkeypatch, tmp_path):
    jax = pytest.importorskip("jax")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    before = {name: getattr(jax.config, name) for name in _JAX_SETTINGS}
    monkeypatch.setattr(keras_engine.keras.backend, "backend", lambda: "jax")
    try:
        monkeypatch.setattr(keras_engine, "has_gpu", lambda: False)
        keras_engine.keep_compiled()
        assert jax.config.jax_compilation_cache_dir == before["jax_compilation_cache_dir"]
        monkeypatch.setattr(keras_engine, "has_gpu", lambda: True)
        keras_engine.keep_compiled()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jax")
        assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
        jax.config.update("jax_compilation_cache_dir", "/chosen/by/the/user")
        keras_engine.keep_compiled()
        assert jax.config.jax_compilation_cache_dir == "/chosen/by/the/user"
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
