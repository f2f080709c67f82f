"""Optimizers and schedules by name, learning rates per layer, and what the devices at hand allow."""
