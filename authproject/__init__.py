"""The deployable project: settings, server, middleware and metrics."""

VERSION = "0.1.0"
"""The version of the service, as in pyproject.toml."""
