"""Who looked at what, and what was shown, written to the ledger in the background a few times a second."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from outreach.ledger import Ledger

log = logging.getLogger("huitou.journal")

# A view waits at most this long before it is in the ledger: a killed worker loses no more than that.
FLUSH_SECONDS = 0.2
# When the ledger cannot be written for so long that this many rows wait, requests are refused rather than left unlogged.
FULL = 100_000


class Journal:
    """Buffers audit and exposure rows; `close` writes what is left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._audit: list[Mapping[str, Any]] = []
        self._exposures: list[Mapping[str, Any]] = []
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin writing in the background."""
        self._thread = threading.Thread(target=self._work, name="huitou-journal", daemon=True)
        self._thread.start()

    def audit(self, row: Mapping[str, Any]) -> None:
        """Note that somebody did or saw something."""
        with self._lock:
            self._audit.append(row)

    def exposure(self, row: Mapping[str, Any]) -> None:
        """Note what was shown."""
        with self._lock:
            self._exposures.append(row)

    @property
    def full(self) -> bool:
        return len(self._audit) + len(self._exposures) > FULL

    def flush(self) -> None:
        """Write what waits; rows that cannot be written wait on."""
        self._write("_audit", self._ledger.note_audit)
        self._write("_exposures", self._ledger.note_exposures)

    def close(self) -> None:
        """Write what waits and stop."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self.flush()

    def _write(self, name: str, write: Callable[[Sequence[Mapping[str, Any]]], None]) -> None:
        with self._lock:
            rows: list[Mapping[str, Any]] = getattr(self, name)
            setattr(self, name, [])
        if not rows:
            return
        try:
            write(self._without_forgotten(rows))
        except Exception:
            with self._lock:
                setattr(self, name, rows + getattr(self, name))
            raise

    def _without_forgotten(self, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Whoever asks for a forgotten member must not bring the id back into the ledger: the mark stands for it."""
        marks = self._ledger.forgotten_marks()
        if not marks:
            return rows
        kept = []
        for row in rows:
            mark = self._ledger.member_mark(row["member_id"]) if row.get("member_id") else ""
            kept.append({**row, "member_id": f"forgotten:{mark[:32]}"} if mark in marks else row)
        return kept

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(FLUSH_SECONDS)
            try:
                self.flush()
            except Exception:
                log.exception("the journal could not be written; its rows wait")
                self._wake.wait(1.0)
