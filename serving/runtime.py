"""What a worker holds: the place, the ledger, the release in use, the journal, the metrics and the clock."""

import asyncio
import contextlib
import datetime as dt
import gc
import logging
from collections.abc import Callable
from zoneinfo import ZoneInfo

from outreach.ledger import Ledger
from outreach.ledger.live import LiveLedger
from serving.answers.shop_rules import ShopRules
from serving.carried import own_release
from serving.journal import Journal
from serving.metrics import Metrics
from serving.releases import ReleaseStore, Served
from serving.settings import Place, ServingSettings

log = logging.getLogger("huitou.runtime")

Clock = Callable[[], dt.datetime]


class Runtime:
    """A worker's state. Opening one is quick; `start` begins the background work.

    Args:
        place: where everything is.
        clock: gives the brand-local time without zone.
        migrate: bring the ledger's schema up to date first (one process should).
    """

    def __init__(self, place: Place, clock: Clock, *, migrate: bool = False) -> None:
        self.place = place
        self.clock = clock
        self.ledger = Ledger(place.ledger_url, brand_id=place.brand_id, migrate=migrate)
        self.live = LiveLedger(self.ledger)
        self.releases = ReleaseStore(place.releases, own_release())
        self.metrics = Metrics()
        self.journal = Journal(self.ledger)
        self.shop_rules = ShopRules()
        self._watch: asyncio.Task[None] | None = None
        self.look()

    @property
    def settings(self) -> ServingSettings:
        return self.place.settings

    @property
    def served(self) -> Served:
        return self.releases.served

    def now(self) -> dt.datetime:
        """The brand-local time."""
        return self.clock()

    def look(self) -> bool:
        """Look for a new release and tell the metrics."""
        swapped = self.releases.look()
        if swapped:
            # What was loaded stays for long: keep it out of every later collection.
            gc.collect()
            gc.freeze()
        if self.releases.ready:
            self.metrics.release_age.set(self.age_days)
        self.metrics.swaps.set(self.releases.swaps)
        self.metrics.refused.set(len(self.releases.refused))
        return swapped

    @property
    def age_days(self) -> int:
        """Days between the release's as_of and today."""
        return (self.now().date() - dt.date.fromisoformat(self.served.as_of)).days

    def start(self) -> None:
        """Begin to watch for releases and to write the journal; needs a running event loop."""
        self.journal.start()
        self._watch = asyncio.get_running_loop().create_task(self._keep_looking())

    async def stop(self) -> None:
        """End the background work and write what waits."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await asyncio.to_thread(self.journal.close)
        self.ledger.close()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            try:
                await asyncio.to_thread(self.look)
            except Exception:
                log.exception("looking for a release failed; the one in use stays")


def brand_clock(timezone: str, now: Callable[[ZoneInfo], dt.datetime]) -> Clock:
    """A clock of the brand's zone from `now(zone)`, as `datetime.now`."""
    zone = ZoneInfo(timezone)
    return lambda: now(zone).replace(tzinfo=None)
