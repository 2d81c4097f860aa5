"""The front door: the command line and the configuration. Imports every room; nobody imports it."""

__version__ = "0.1.0"
