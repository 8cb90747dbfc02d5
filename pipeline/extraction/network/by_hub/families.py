"""Which of keras-hub's backbones take one image, or a clip of frames, and what of their output their authors probe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.extraction.recipe import TOKEN_LAYERS, VECTOR


@dataclass(frozen=True)
class Family:
    """What the networks of one class have in common."""

    layer: str
    """Which part of the output is the feature where nobody says."""
    licence: str = "unknown"
    """Of the weights that their authors published."""
    tower: str = ""
    """The part of a network for images and texts that sees the images."""
    registers: str = ""
    """The setting that counts its register tokens."""
    more_prefix: int = 0
    """Further tokens before those of the patches."""
    cls: bool = True
    """Whether a first token stands for all."""
    frames: str = ""
    """The setting that counts the frames of a clip that it takes at once; empty for networks of images."""
    texts: str = ""
    """The setting that is above 0 where it is also one of texts, and gives a vector for each clip beside theirs."""
    any_size: bool = False
    """Whether its positions are computed, so that it takes images of any number of patches."""

    def prefix(self, settings: Mapping[str, Any]) -> int:
        """How many tokens come before those of the patches."""
        if not self.cls:
            return 0
        cls = 1 if settings.get("use_class_token", True) else 0
        return cls + self.more_prefix + int(settings.get(self.registers, 0) if self.registers else 0)

    @property
    def makes_tokens(self) -> bool:
        return self.layer in TOKEN_LAYERS


_MAPS = {
    name: Family("avg_pool", any_size=True)
    for name in (
        *("ResNetBackbone", "EfficientNetBackbone", "DenseNetBackbone", "MobileNetBackbone", "XceptionBackbone"),
        *("VGGBackbone", "CSPNetBackbone", "HGNetV2Backbone"),
    )
}
# What is probed: DINOv2 (https://arxiv.org/abs/2304.07193, appendix B.3) the class token beside the patches' mean;
# DINOv3 (https://arxiv.org/abs/2508.10104) and ViT (https://arxiv.org/abs/2010.11929) the class token; CLIP
# (https://arxiv.org/abs/2103.00020) what comes before the projection; SigLIP (https://arxiv.org/abs/2303.15343) the
# output of its attention pooling; VideoPrism (https://arxiv.org/abs/2402.13217) by attention over all tokens, of which
# the mean needs no training, and where it is also one of texts what it compares with them.
FAMILIES: dict[str, Family] = {
    "DINOV2Backbone": Family("cls+mean", "Apache-2.0", registers="num_register_tokens", any_size=True),
    "DINOV3Backbone": Family("cls", "DINOv3 License of Meta", registers="num_register_tokens", any_size=True),
    "ViTBackbone": Family("cls", "Apache-2.0"),
    "DeiTBackbone": Family("cls", "Apache-2.0", more_prefix=1),
    "CLIPBackbone": Family("cls", "MIT", tower="vision_encoder"),
    "MetaCLIP2Backbone": Family("cls", "CC-BY-NC-4.0", tower="vision_encoder"),
    "SigLIPBackbone": Family(VECTOR, "Apache-2.0", tower="vision_encoder"),
    "VideoPrismBackbone": Family("mean", cls=False, frames="num_frames", texts="num_text_layers"),
    **_MAPS,
}
