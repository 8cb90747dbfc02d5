"""The frozen networks that can be chosen by name: those of keras.applications, each at its native size."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.extraction.recipe import FRAME_CACHE, Crop, Interpolation


@dataclass(frozen=True)
class Network:
    """Where a network comes from and what images it takes."""

    name: str
    """The name on the command line, in lower case."""
    constructor: str
    """Its function in keras.applications."""
    module: str
    """The module whose ``preprocess_input`` belongs to it."""
    size: int
    """The side in pixels of the images it was trained on."""
    smallest: int
    """The smallest side it takes."""
    crop: Crop = "center"
    """How it wants its frames cut."""
    interpolation: Interpolation = "bilinear"
    """How it wants them resized."""
    licence: str = ""
    """Of its weights; empty where they may be of different licences."""
    layer: str = "avg_pool"
    """Which part of its output is the feature where nobody says."""
    frames: int = 0
    """How many it takes at once for a step; all of these are networks of images."""

    def check_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """(height, width) to use: the network's own if ``size`` is None.

        Raises:
            UserError: a side is smaller than the network takes.
        """
        height, width = size or (self.size, self.size)
        if min(height, width) < self.smallest:
            raise UserError(
                f"size {height}x{width} is too small for {self.name}: each side needs at least "
                f"{self.smallest} pixels (its own size is {self.size})"
            )
        return height, width


def _family(module: str, smallest: int, **sizes: int) -> dict[str, Network]:
    return {name.lower(): Network(name.lower(), name, module, size, smallest) for name, size in sizes.items()}


# Sizes and minima as documented at https://keras.io/api/applications/
NETWORKS: dict[str, Network] = {
    **_family("inception_v3", 75, InceptionV3=299),
    **_family("inception_resnet_v2", 75, InceptionResNetV2=299),
    **_family("xception", 71, Xception=299),
    **_family("resnet", 32, ResNet50=224, ResNet101=224, ResNet152=224),
    **_family("resnet_v2", 32, ResNet50V2=224, ResNet101V2=224, ResNet152V2=224),
    **_family("vgg16", 32, VGG16=224),
    **_family("vgg19", 32, VGG19=224),
    **_family("mobilenet", 32, MobileNet=224),
    **_family("mobilenet_v2", 32, MobileNetV2=224),
    **_family("mobilenet_v3", 32, MobileNetV3Small=224, MobileNetV3Large=224),
    **_family("densenet", 32, DenseNet121=224, DenseNet169=224, DenseNet201=224),
    **_family("nasnet", 32, NASNetMobile=224, NASNetLarge=331),
    **_family("efficientnet", 32, EfficientNetB0=224, EfficientNetB1=240, EfficientNetB2=260, EfficientNetB3=300),
    **_family("efficientnet", 32, EfficientNetB4=380, EfficientNetB5=456, EfficientNetB6=528, EfficientNetB7=600),
    **_family("efficientnet_v2", 32, EfficientNetV2B0=224, EfficientNetV2B1=240, EfficientNetV2B2=260),
    **_family("efficientnet_v2", 32, EfficientNetV2B3=300, EfficientNetV2S=384, EfficientNetV2M=480),
    **_family("efficientnet_v2", 32, EfficientNetV2L=480),
    **_family("convnext", 32, ConvNeXtTiny=224, ConvNeXtSmall=224, ConvNeXtBase=224, ConvNeXtLarge=224),
    # Four small layers of our own: for trying things out and for tests. It has no ImageNet weights.
    "tiny": Network("tiny", "", "", 32, 8),
    # No network at all: the images are kept as they are, for networks that are trained whole.
    FRAME_CACHE: Network(FRAME_CACHE, "", "", 112, 1),
}


def find_network(name: str) -> Network:
    """The network called ``name``, in any case, with or without ``-`` and ``_``.

    Raises:
        UserError: there is none; the line lists all.
    """
    key = name.lower().replace("_", "").replace("-", "")
    if key not in NETWORKS:
        raise UserError(f"backbone {name!r} is unknown; expected one of {', '.join(NETWORKS)}")
    return NETWORKS[key]
