"""Logs: one JSON line an event on standard error; nothing in them names a buyer, a creator or a secret."""

from __future__ import annotations

import logging
import os
import sys

import structlog


def begin() -> None:
    """Let this process log from the level that the server was started with."""
    level = logging.INFO if os.environ.get("TRADEWIND_LOG") == "info" else logging.WARNING
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
