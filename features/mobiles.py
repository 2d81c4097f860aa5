"""Clear mobile numbers and a key come in; keyed hashes come out. Runs on the brand's side, before any export.

A plain hash of an 11-digit number is undone in minutes by trying all of them; an HMAC with a secret key is not, as long
as the key stays with the brand. The same key must be used for every export, or the same person gets another hash.
"""

import csv
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from features.errors import InputError
from features.sources import as_utf8, csv_header

# Shorter keys can be tried out.
KEY_BYTES = 16
_PREFIX = re.compile(r"^(\+|00)?86(?=1[3-9]\d{9}$)")
_MOBILE = re.compile(r"^1[3-9]\d{9}$")


@dataclass(frozen=True)
class Hashed:
    """What became of a column: rows read, cells hashed, cells emptied because they held no mobile number."""

    rows: int
    hashed: int
    emptied: int
    path: Path


def hash_mobile(mobile: str, key: bytes) -> str | None:
    """Hex HMAC-SHA256 of the 11 digits; None for what is no mainland mobile number.

    Spaces, dashes and a leading +86, 86 or 0086 are dropped first.

    >>> hash_mobile("+86 138-0013-8000", b"0123456789abcdef") == hash_mobile("13800138000", b"0123456789abcdef")
    True
    >>> hash_mobile("010-62345678", b"0123456789abcdef") is None
    True
    """
    digits = _PREFIX.sub("", re.sub(r"[\s\-()（）]", "", mobile))
    if not _MOBILE.match(digits):
        return None
    return hmac.new(key, digits.encode("ascii"), hashlib.sha256).hexdigest()


def read_key(text: str, origin: str) -> bytes:
    """The key without the line end around it. Raises InputError where it is too short to be secret."""
    key = text.strip().encode("utf-8")
    if len(key) < KEY_BYTES:
        raise InputError(f"key: expected at least {KEY_BYTES} bytes in {origin}, found {len(key)}; make a longer one")
    return key


def hash_column(source: Path, column: str, key: bytes, target: Path, scratch: Path) -> Hashed:
    """Copy a CSV file (UTF-8 or GB18030) to `target` in UTF-8 with one column of mobile numbers hashed.

    Cells that hold no mobile number are emptied, so that nothing clear is left. Raises InputError for a missing file or
    column, and where source and target are the same file.
    """
    if not source.is_file():
        raise InputError(f"{source}: no such file; give the CSV file with the mobile numbers")
    if source.resolve() == target.resolve():
        raise InputError(f"{target}: expected another file than the one that is read; give --out another name")
    readable, _ = as_utf8(source, scratch)
    names, delimiter = csv_header(readable)
    if column not in names:
        raise InputError(f"{source.name}: no column {column!r}; found {names}; give one of these")
    place = names.index(column)
    rows = hashed = emptied = 0
    with (
        readable.open(encoding="utf-8-sig", newline="") as given,
        target.open("w", encoding="utf-8", newline="") as written,
    ):
        reader, writer = csv.reader(given, delimiter=delimiter), csv.writer(written, lineterminator="\n")
        next(reader)
        writer.writerow(names)
        for row in reader:
            rows += 1
            cell = row[place] if place < len(row) else ""
            digest = hash_mobile(cell, key)
            hashed += digest is not None
            emptied += digest is None and bool(cell.strip())
            if place < len(row):
                row[place] = digest or ""
            writer.writerow(row)
    return Hashed(rows, hashed, emptied, target)
