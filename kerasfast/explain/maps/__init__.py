"""Where in its frames a network looks for a class."""
