"""The service's settings, with every logger at its loudest."""

from authproject.settings import *  # noqa: F403
from authproject.settings import LOGGING

LOGGING["root"]["level"] = "DEBUG"
LOGGING["loggers"] = {"django": {"handlers": [], "propagate": True, "level": "DEBUG"}}
