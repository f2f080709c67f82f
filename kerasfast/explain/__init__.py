"""What a model sees: predictions over time, explanations and reports."""

DEFAULT_MODEL = "slowfast_nano.miniature"  # its weights come with the package
