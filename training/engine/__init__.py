"""The training loop and its parts: sampler, schedule, processes, initial weights, log, validation."""
