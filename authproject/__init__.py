"""The project: settings, server, middleware and metrics."""

__version__ = "0.1.0"
