from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline.errors import UserError
from pipeline.extraction.recipe import Recipe
from tests.extraction.conftest import RECIPE

BASE = Recipe("uniform:20", "inceptionv3", "ab" * 32, 299, 299)


def test_fingerprint_is_stable_across_processes_and_versions():
    code = (
        "from pipeline.extraction.recipe import Recipe;"
        "print(Recipe('uniform:20', 'inceptionv3', 'ab' * 32, 299, 299).fingerprint)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert printed == BASE.fingerprint
    # Written down once: if this changes, every store out there would be refused.
    assert BASE.canonical == (
        '{"backbone":"inceptionv3","crop":"center","height":299,"interpolation":"bilinear","layer":"avg_pool",'
        '"sampling":"uniform:20","weights_digest":"' + "ab" * 32 + '","width":299}'
    )


@pytest.mark.parametrize(
    "change",
    [
        {"sampling": "uniform:21"},
        {"backbone": "resnet50"},
        {"weights_digest": "cd" * 32},
        {"height": 224},
        {"width": 224},
        {"crop": "none"},
        {"interpolation": "area"},
        {"layer": "max_pool"},
        {"quantised": "cd" * 32},
    ],
)
def test_every_field_changes_the_fingerprint_and_is_named(change):
    other = replace(BASE, **change)
    assert other.fingerprint != BASE.fingerprint
    words = {"height": "size", "width": "size"}.get(next(iter(change)), next(iter(change)).replace("_", " "))
    assert words in BASE.differences(other)


def test_what_is_float_arithmetic_is_not_written_so_that_older_versions_read_it():
    assert "quantised" not in BASE.canonical
    assert Recipe.from_json(BASE.canonical.replace('"width"', '"quantised":"","width"')).fingerprint == BASE.fingerprint
    quantised = replace(BASE, quantised="cd" * 32)
    assert Recipe.from_json(quantised.canonical) == quantised
    assert quantised.differences(BASE) == "quantised cdcdcdcdcdcd…, not none"


def test_clips_of_frames_are_a_sampling_like_the_others():
    clips = replace(BASE, sampling="Clips:16.0@12.50/0.640")
    assert clips.sampling == "clips:16@12.5/0.64"
    assert clips.canonical == BASE.canonical.replace("uniform:20", "clips:16@12.5/0.64")
    assert (clips.clip, clips.input_shape) == (16, (16, 299, 299, 3))
    assert (BASE.clip, BASE.input_shape) == (0, (299, 299, 3))


def test_spelling_of_the_sampling_does_not_matter():
    assert replace(BASE, sampling=" Uniform:20.0 ") == BASE


def test_json_round_trip_and_unknown_keys():
    assert Recipe.from_json(RECIPE.canonical) == RECIPE
    with pytest.raises(UserError, match="newer version"):
        Recipe.from_json(RECIPE.canonical.replace("crop", "cut"))
