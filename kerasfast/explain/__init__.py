"""What a model sees: predictions over time, explanations and reports."""
