"""What is generated from the command tree: completion scripts and the man page."""
