"""The `kerasfast` command: one file a group of commands."""
