"""What runs inside of a training: its stages, their batches, the callbacks of a step, and checkpoints."""
