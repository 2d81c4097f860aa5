"""Structured logs: one JSON object a line, without member ids, tokens or anything that looks like a phone number."""

import json
import logging
import re
import traceback
from pathlib import Path
from typing import Any

PHONE = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
# Ids stand in paths; a log line names the route's template instead, and free text is cleaned of them.
PATH_ID = re.compile(r"(/(?:members|guides|contact-tasks|contact-outcomes|jobs)/)[^/\s?\"'{][^/\s?\"']*")
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
        if record.exc_info and record.exc_info[0] is not None:
            # The class and the way there, never the message: libraries put the rejected value into it.
            frames = traceback.extract_tb(record.exc_info[2])
            line["error"] = record.exc_info[0].__name__
            line["at"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
        return json.dumps(line, ensure_ascii=False, default=str)


def structured_logs(level: int = logging.INFO) -> None:
    """Send our own, BentoML's and the web server's loggers to standard error as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("huitou", "bentoml", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
