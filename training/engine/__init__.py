"""The training loop and what it runs on: sampler, schedule, processes, initial weights, log, validation."""
