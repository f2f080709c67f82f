"""Architectures: a table of rows, and one builder that reads it."""
