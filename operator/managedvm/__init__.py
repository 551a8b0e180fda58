"""A Kubernetes operator that makes a managed hosting contract the program."""

__version__ = "0.1.0"
