"""A report on a training run: one HTML file made of the files of its folder."""
