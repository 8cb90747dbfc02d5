"""What learns in a phase: a model behind the augmentation of its frames, its optimizer, and the compiled step."""

from __future__ import annotations

import numpy as np

from pipeline.extraction.inputs.augmentation import FrameAugmentation
from pipeline.lazy import keras
from pipeline.training.compute.backend import compile_head, compile_step
from pipeline.training.compute.step import Step
from pipeline.training.heads.video_networks import base_of, set_trainable
from pipeline.training.loop.spec import Phase, TrainSpec


class Learner:
    """A model that learns, with its compiled functions. Members of one head take turns in it, so all is compiled once.

    Args:
        model: the place in which they learn; it holds the weights of the one whose turn it is.
        spec: resolved for the head.
    """

    def __init__(self, model: keras.Model, spec: TrainSpec) -> None:
        self.model, self._spec = model, spec
        self.behind_augmentation = augmented(model, spec)
        self.function = compile_head(model)
        self._prepared: dict[Phase, tuple[keras.optimizers.Optimizer, Step, list[np.ndarray]]] = {}

    def take(self, start: list[np.ndarray]) -> None:
        """Begin with another member: the values of all its variables, the seeds of its dropout among them."""
        for variable, value in zip(self.model.variables, start, strict=True):
            variable.assign(value)

    def begin(self, phase: Phase) -> tuple[keras.optimizers.Optimizer, Step]:
        """An optimizer that remembers nothing, and the step of a phase."""
        if phase not in self._prepared:
            optimizer, step = prepare(self.model, self.behind_augmentation, phase, self._spec)
            self._prepared[phase] = optimizer, step, [np.asarray(variable) for variable in optimizer.variables]
        optimizer, step, fresh = self._prepared[phase]
        for variable, value in zip(optimizer.variables, fresh, strict=True):
            variable.assign(value)
        return optimizer, step


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
    shared = {"weight_decay": decay or None, "gradient_accumulation_steps": gathered}
    optimizer: keras.optimizers.Optimizer
    match spec.optimizer:
        case "sgd":
            optimizer = keras.optimizers.SGD(rate, momentum=spec.momentum, **shared)
        case "adam":
            optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, gradient_accumulation_steps=gathered)
        case other:
            optimizer = keras.optimizers.get({"class_name": other, "config": {"learning_rate": rate, **shared}})
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    # The gradients of float16 vanish unless the loss is scaled up.
    return keras.optimizers.LossScaleOptimizer(optimizer) if spec.precision == "float16" else optimizer
