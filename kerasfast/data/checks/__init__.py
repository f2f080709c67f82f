"""What would spoil a build or a training: checks of videos, annotations and records, and rates of the input."""
