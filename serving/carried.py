"""Releases inside Bentos: where BentoML keeps them, and which one this service was built with.

A Bento may carry the release of the day as a BentoML model, so that it answers where there is no home folder. BentoML
keeps models beside Bentos, and inside those that were exported or imported; a member who is forgotten leaves both.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # BentoML brings it

from outreach.forgetting import Places
from serving.settings import Place

MODEL = "huitou_release"
FOLDER = "release"
# bento.yaml stands two folders above this file in a Bento: bento.yaml, src/serving/carried.py.
BENTO = Path(__file__).resolve().parents[2]


def bento_home(environment: Mapping[str, str] = os.environ) -> Path:
    """BentoML's folder."""
    return Path(environment.get("BENTOML_HOME") or Path.home() / "bentoml")


def carried_releases(home: Path | None = None) -> list[Path]:
    """Every release that BentoML's stores under `home` hold."""
    root = home or bento_home()
    stores = [root / "models", *root.glob("bentos/*/*/models")]
    return sorted(found for store in stores for found in (store / MODEL).glob(f"*/{FOLDER}") if found.is_dir())


def own_release(bento: Path = BENTO, home: Path | None = None) -> Path | None:
    """The release that the Bento was built with from which this code runs; None outside a Bento, or where it has none."""
    told = bento / "bento.yaml"
    if not told.is_file():
        return None
    for model in yaml.safe_load(told.read_text(encoding="utf-8")).get("models") or []:
        name, _, version = str(model["tag"]).partition(":")
        if name == MODEL:
            for store in (bento / "models", (home or bento_home()) / "models"):
                if (store / MODEL / version / FOLDER).is_dir():
                    return store / MODEL / version / FOLDER
    return None


def places_of(place: Place) -> Places:
    """Where rows of members are kept beside the ledger of a home folder."""
    return Places(place.releases, place.home / "monitor", carried_releases())
