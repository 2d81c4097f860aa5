"""`huitou hash-mobile`: mobile numbers of a CSV column become keyed hashes, on the brand's own machine."""

import os
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from features.errors import InputError
from features.mobiles import hash_column, read_key

KEY_VARIABLE = "HUITOU_MOBILE_KEY"


@click.command("hash-mobile")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--column", help="The column that holds mobile numbers; it is replaced.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write; FILE.hashed.csv by default.")
@click.option("--key-file", type=click.Path(path_type=Path), help=f"File with the key; else {KEY_VARIABLE} is read.")
@click.option("--new-key", type=click.Path(path_type=Path), help="Make a new random key in this file and stop.")
def command(
    file: Path | None, column: str | None, out: Path | None, key_file: Path | None, new_key: Path | None
) -> None:
    """Replace the mobile numbers in a CSV column by HMAC-SHA256 with the brand's secret key.

    The key comes from a file or the environment, never from the command line, where the shell would remember it. Keep it
    on the brand's side, and use the same key for every export.
    """
    if new_key is not None:
        _make_key(new_key)
        click.echo(f"wrote {new_key}: a new key; keep it safe and use it for every export")
        return
    if file is None or column is None:
        raise InputError("hash-mobile: expected FILE and --column (or --new-key FILE); see huitou hash-mobile --help")
    key = _key(key_file)
    target = out or file.with_suffix(".hashed.csv")
    with TemporaryDirectory(prefix="huitou-mobile-") as scratch:
        done = hash_column(file, column, key, target, Path(scratch))
    click.echo(
        f"wrote {done.path}: {done.rows:,} rows, {done.hashed:,} numbers hashed, {done.emptied:,} emptied (no mobile number)"
    )


def _key(key_file: Path | None) -> bytes:
    if key_file is not None:
        if not key_file.is_file():
            raise InputError(f"{key_file}: no such key file; make one with huitou hash-mobile --new-key {key_file}")
        return read_key(key_file.read_text("utf-8"), str(key_file))
    if KEY_VARIABLE in os.environ:
        return read_key(os.environ[KEY_VARIABLE], KEY_VARIABLE)
    raise InputError(f"key: expected --key-file or {KEY_VARIABLE}, found neither; make one with --new-key FILE")


def _make_key(path: Path) -> None:
    """A key file that only its owner can read; an old one is never written over."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as fault:
        raise InputError(f"{path}: is there already; a new key would give everybody new hashes") from fault
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
