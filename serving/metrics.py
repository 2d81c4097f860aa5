"""Prometheus metrics by route template; with several workers each writes a file and any of them answers for all."""

import os
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import multiprocess as shared

# From a cached list (0.2 ms) to a bulk call of 1,000 members.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The service's metrics, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.latency = Histogram(
            "huitou_request_seconds", "Time to answer, by route", ["method", "route"], buckets=BUCKETS, **own
        )
        self.requests = Counter(
            "huitou_requests", "Answers, by route and status", ["method", "route", "status"], **own
        )
        self.answers = Counter("huitou_answers", "Answers by task and source", ["task", "source"], **own)
        self.list_size = Histogram(
            "huitou_list_size",
            "Tasks on a contact list when it was shown",
            buckets=(0, 1, 2, 5, 10, 15, 20, 30, 50),
            **own,
        )
        self.outcomes = Counter("huitou_outcomes", "Outcomes noted", ["outcome"], **own)
        self.release_age = Gauge(
            "huitou_release_age_days", "Days since the release's as_of", multiprocess_mode="max", **own
        )
        self.swaps = Gauge("huitou_release_swaps", "Releases loaded since the start", multiprocess_mode="max", **own)
        self.refused = Gauge("huitou_releases_refused", "Releases refused", multiprocess_mode="max", **own)
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._answers: dict[tuple[str, str], Any] = {}

    def answered(self, task: str, source: str, count: int = 1) -> None:
        """Count answers of a task by where they came from."""
        key = (task, source)
        child = self._answers.get(key)
        if child is None:
            child = self._answers[key] = self.answers.labels(task, source)
        child.inc(count)

    def observe(self, method: str, template: str, status: int, seconds: float) -> None:
        """Count one answer; the children are kept because looking them up costs more than counting."""
        key = (method, template, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = (
                self.latency.labels(method, template),
                self.requests.labels(method, template, str(status)),
            )
        child[0].observe(seconds)
        child[1].inc()

    def text(self) -> bytes:
        """All metrics, of all workers where they share a folder."""
        if os.environ.get(SHARED_VARIABLE):
            registry = CollectorRegistry()
            shared.MultiProcessCollector(registry)
            return generate_latest(registry)
        return generate_latest(self.registry)
