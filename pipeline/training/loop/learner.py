"""What learns in a phase: a model behind the augmentation of its frames, its optimizer, and the compiled step."""

from __future__ import annotations

import keras

from pipeline.extraction.inputs.augmentation import FrameAugmentation
from pipeline.training.compute.backend import compile_step
from pipeline.training.compute.step import Step
from pipeline.training.heads.video_networks import base_of, set_trainable
from pipeline.training.loop.spec import Phase, TrainSpec


def augmented(model: keras.Model, spec: TrainSpec) -> keras.Model:
    """The model behind the augmentation of its frames; what validates and is saved is the model alone."""
    if not spec.augment:
        return model
    from pipeline.extraction.inputs.augment_layer import AugmentFrames

    frames, mask = (keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in model.inputs)
    varied = AugmentFrames(FrameAugmentation.parse(spec.augment), spec.seed)(frames, mask)
    return keras.Model([frames, mask], model([varied, mask]))


def prepare(
    model: keras.Model, learner: keras.Model, phase: Phase, spec: TrainSpec
) -> tuple[keras.optimizers.Optimizer, Step]:
    """An optimizer and a compiled step for what learns in a phase.

    Args:
        model: whose base learns as the phase says.
        learner: the same model, or the one in front of it that augments; see `augmented`.
        phase: what learns, and how fast at the start.
        spec: resolved for the head.
    """
    base = base_of(model)
    if base is not None:
        set_trainable(base, phase.layers or 0)
    optimizer = _optimizer(phase.learning_rate, spec)
    optimizer.build(learner.trainable_variables)
    return optimizer, compile_step(learner, optimizer)


def _optimizer(rate: float, spec: TrainSpec) -> keras.optimizers.Optimizer:
    # Keras counts gradients that are gathered from 2 on.
    gathered = spec.accumulate if spec.accumulate > 1 else None
    decay = float(spec.weight_decay or 0)
    optimizer: keras.optimizers.Optimizer
    if spec.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            rate, momentum=spec.momentum, weight_decay=decay or None, gradient_accumulation_steps=gathered
        )
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, gradient_accumulation_steps=gathered)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    # The gradients of float16 vanish unless the loss is scaled up.
    return keras.optimizers.LossScaleOptimizer(optimizer) if spec.precision == "float16" else optimizer
