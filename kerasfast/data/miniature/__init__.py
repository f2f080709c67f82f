"""Miniature Charades: a generated data set in Charades' own file formats, for tests, demonstrations and comparisons.

`plan` says what the classes are, `scripts` what happens in each video, `subjects` and `sprites` how things look,
`render` draws, `files` writes the annotations, and `generate` makes it all.
"""
