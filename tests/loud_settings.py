"""The settings of the project with all loggers at level DEBUG, to test that logs contain no secrets."""

from authproject.settings import *  # noqa: F403
from authproject.settings import LOGGING

LOGGING["root"]["level"] = "DEBUG"
LOGGING["loggers"] = {"django": {"handlers": [], "propagate": True, "level": "DEBUG"}}
