"""Videos as vectors, and the files of them."""
