"""Learning-rate schedule: the stage of each step and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from model.errors import InputError
from training.config.train_config import Stage

FLOOR = 0.01  # final value of a cosine, relative to the learning rate


class Schedule:
    """The stages of a run in steps.

    Args:
        stages: in order.
        epoch_steps: steps per epoch.
        steps: overrides the stages' own total; all keep their proportions, with at least one step each.

    Raises:
        InputError: there is no stage, a stage has no length, or `steps` is less than the number of stages.
    """

    def __init__(self, stages: Sequence[Stage], epoch_steps: int, steps: int | None = None) -> None:
        lengths = [round(stage.epochs * epoch_steps) or stage.steps for stage in stages]
        if not lengths or min(lengths) < 1:
            raise InputError(f"stages {stages}: give each a length of epochs or steps")
        self.stages = tuple(stages)
        if steps is not None:
            if steps < len(stages):
                raise InputError(f"{steps} steps are too few for {len(stages)} stages; take at least one for each")
            ends = [round(steps * sum(lengths[: i + 1]) / sum(lengths)) for i in range(len(lengths))]
            for i in reversed(range(len(ends) - 1)):  # a stage that rounding left without a step takes one
                ends[i] = min(ends[i], ends[i + 1] - 1)
            ends = [max(end, i + 1) for i, end in enumerate(ends)]
            factor = steps / sum(lengths)
            self.stages = tuple(
                replace(stage, warmup_steps=round(stage.warmup_steps * min(1.0, factor))) for stage in stages
            )
            lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        self.lengths = tuple(lengths)
        self.epoch_steps = epoch_steps

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(self.lengths)

    def at(self, step: int) -> tuple[Stage, float]:
        """Return the stage and the learning rate of a step."""
        done = step
        for stage, length in zip(self.stages, self.lengths, strict=True):
            if done < length:
                return stage, stage.learning_rate * _share(stage, length, done)
            done -= length
        raise ValueError(f"step {step} is beyond the {self.steps} steps of the run")


def _share(stage: Stage, length: int, done: int) -> float:
    if done < stage.warmup_steps:
        return (done + 1) / stage.warmup_steps
    if stage.lr_schedule == "constant":
        return 1.0
    progress = (done - stage.warmup_steps) / max(1, length - stage.warmup_steps)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))
