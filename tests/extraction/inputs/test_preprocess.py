from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.inputs.preprocess import Preprocessor, center_crop
from tests.extraction.conftest import RECIPE

sides = st.integers(1, 60)


@given(sides, sides, sides, sides)
def test_center_crop_has_the_shape_and_is_centred(rows, columns, height, width):
    image = np.arange(rows * columns).reshape(rows, columns, 1)
    cropped = center_crop(image, height, width)
    assert rows == cropped.shape[0] or columns == cropped.shape[1]
    top, left = divmod(int(cropped[0, 0, 0]), columns)
    assert abs((rows - cropped.shape[0]) - 2 * top) <= 1
    assert abs((columns - cropped.shape[1]) - 2 * left) <= 1
    # The shape is that of the target to within one pixel.
    assert abs(cropped.shape[0] * width - cropped.shape[1] * height) <= max(width, height)


def test_the_reference_is_met_exactly():
    image = np.random.default_rng(0).integers(0, 256, (360, 626, 3), dtype=np.uint8)
    prepare = Preprocessor(replace(RECIPE, height=299, width=299, crop="center"))
    expected = cv2.resize(image[:, 133 : 133 + 360], (299, 299), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(prepare(image), expected)


def test_a_picture_of_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Preprocessor(RECIPE)(image), image)
