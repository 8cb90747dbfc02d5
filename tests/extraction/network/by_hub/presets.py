"""Presets of small networks with drawn weights, as keras-hub itself writes them into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIDE, PATCH, WIDTH = 16, 4, 8
FRAMES = 4  # of networks of clips of frames
SCALE, OFFSET = [0.02, 0.03, 0.04], [-1.0, -2.0, -0.5]
_TOWER = {"patch_size": PATCH, "hidden_dim": WIDTH, "num_layers": 1, "num_heads": 2, "intermediate_dim": 12}
_IMAGE = {"image_shape": (SIDE, SIDE, 3)}
_TEXT = {"vocabulary_size": 9, "embedding_dim": WIDTH, "hidden_dim": WIDTH, "num_layers": 1, "num_heads": 2}
_TEXT |= {"intermediate_dim": 12, "max_sequence_length": 5}


def write_preset(
    folder: Path, kind: str, *, seed: int = 0, licence: str = "", size: tuple[int, int] = (SIDE, SIDE), **converter: Any
) -> Path:
    """Write a preset.

    Args:
        folder: of the preset.
        kind: a key of `_MADE`.
        seed: of its weights.
        licence: of its card; none is written where it is empty.
        size: of its converter.
        converter: more of its settings.
    """
    import keras
    import keras_hub

    keras.utils.set_random_seed(seed)
    backbone = _MADE[kind](keras_hub.models)
    draw = np.random.default_rng(seed)
    for variable in backbone.weights:  # so that no position and no bias is zero
        if "float" in str(variable.dtype) and "moving_variance" not in variable.path:
            variable.assign(variable.numpy() + 0.2 * draw.standard_normal(variable.shape).astype("float32"))
    backbone.save_to_preset(str(folder))
    values: dict[str, Any] = {"image_size": size, "scale": SCALE, "offset": OFFSET} | converter
    keras_hub.layers.ImageConverter(**values).save_to_preset(str(folder))
    if licence:
        (folder / "README.md").write_text(f"---\nlibrary_name: keras-hub\nlicense: {licence}\n---\nA network.\n")
    return folder


_CLIPS = {"num_frames": FRAMES, "patch_size": PATCH, "hidden_dim": WIDTH, "intermediate_dim": 12, "num_heads": 2}
_CLIPS |= {"num_spatial_layers": 1, "num_temporal_layers": 1, **_IMAGE}


def _siglip(models: Any) -> Any:
    towers = {"num_layers": 1, "num_heads": 2, "hidden_dim": WIDTH, "intermediate_dim": 12}
    text = models.SigLIPTextEncoder(vocabulary_size=9, embedding_dim=WIDTH, max_sequence_length=5, **towers)
    return models.SigLIPBackbone(models.SigLIPVisionEncoder(patch_size=PATCH, **_IMAGE, **towers), text)


_MADE = {
    "dinov2": lambda models: models.DINOV2Backbone(
        **_TOWER, num_register_tokens=2, position_embedding_shape=(24, 24, 3), **_IMAGE
    ),
    "dinov3": lambda models: models.DINOV3Backbone(**_TOWER, num_register_tokens=3, **_IMAGE),
    "vit": lambda models: models.ViTBackbone(
        patch_size=PATCH, num_layers=1, num_heads=2, hidden_dim=WIDTH, mlp_dim=12, **_IMAGE
    ),
    "deit": lambda models: models.DeiTBackbone(**_TOWER, **_IMAGE),
    "clip": lambda models: models.CLIPBackbone(
        models.CLIPVisionEncoder(**_TOWER, **_IMAGE), models.CLIPTextEncoder(**_TEXT), projection_dim=WIDTH
    ),
    "siglip": _siglip,
    "resnet": lambda models: models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 16],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    ),
    "videoprism": lambda models: models.VideoPrismBackbone(**_CLIPS, num_auxiliary_layers=0),
    "videoprism_lvt": lambda models: models.VideoPrismBackbone(
        **_CLIPS, num_auxiliary_layers=1, vocabulary_size=9, num_text_layers=1
    ),
    "bert": lambda models: models.BertBackbone(9, 1, 2, WIDTH, 12, max_sequence_length=5),
}
