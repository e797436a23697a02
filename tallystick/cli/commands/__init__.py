"""The commands, one file a group. `app` says which command is in which file."""
