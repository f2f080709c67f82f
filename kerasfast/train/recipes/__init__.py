"""Recipes: every setting of a training run in one checked table, the published ones shipped as files."""
