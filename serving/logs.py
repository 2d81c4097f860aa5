"""Structured logs: one JSON object a line, without member ids, tokens or anything that looks like a phone number."""

import json
import logging
import re
from typing import Any

PHONE = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
# Ids stand in paths; a log line names the route's template instead, and free text is cleaned of them.
PATH_ID = re.compile(r"(/(?:members|guides|contact-tasks|contact-outcomes|jobs)/)[^/\s?\"']+")
TOKEN = re.compile(r"ht_[A-Za-z0-9_-]{8,}")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def clean(text: str) -> str:
    """A text without phone numbers, tokens and ids in paths."""
    return TOKEN.sub("[token]", PATH_ID.sub(r"\1[id]", PHONE.sub("[number]", text)))


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, logger, message and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                line[name] = clean(value) if isinstance(value, str) else value
        if record.exc_info:
            line["error"] = clean(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def structured_logs(level: int = logging.INFO) -> None:
    """Send Huitou's own loggers to standard error as JSON lines."""
    logger = logging.getLogger("huitou")
    if not any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
