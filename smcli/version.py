"""The version of smcli."""

__version__ = "0.1.0"
