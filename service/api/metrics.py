"""Numbers for Prometheus: requests, counted as they are served; and the state of the database, read when asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from service.store import counts
from service.store.engine import Database
from service.store.outage import OUTAGES, reason_of

_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """The registry of one application."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Stored(database))
        self._requests = Counter(
            "s2e_requests", "Requests that were answered", ["operation", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "s2e_request_seconds",
            "Time from a request to the end of its answer; event streams are left out",
            ["operation"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.failed_batches = Counter(
            "s2e_batches_failed",
            "Batches of reports that could not be written as one; each report was then tried alone",
            registry=self.registry,
        )
        self.streams = Gauge("s2e_streams_open", "Event streams that are followed now", registry=self.registry)

    def request(self, operation: str, method: str, status: int, took_s: float) -> None:
        """A request was answered; ``status`` 0: its client had gone."""
        self._requests.labels(operation, method, str(status)).inc()
        if operation != "follow_job":
            self._seconds.labels(operation).observe(took_s)

    def text(self) -> bytes:
        """Everything, in the text format."""
        return generate_latest(self.registry)


class _Stored:
    """Metrics read from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the database before somebody scrapes."""
        return []

    def collect(self) -> Iterable[Metric]:
        try:
            with self._database.read() as session:
                now = counts.count(session)
        except OUTAGES as error:
            if reason_of(error) is None:
                raise
            yield GaugeMetricFamily("s2e_database_up", "Whether the database answers", 0)
            return
        yield GaugeMetricFamily("s2e_database_up", "Whether the database answers", 1)
        yield _by("s2e_jobs", "Jobs by state", "state", now.jobs)
        yield _by("s2e_trials", "Trials of the jobs that have not ended, by state", "state", now.trials)
        yield CounterMetricFamily("s2e_events", "Events of jobs that were written", now.events)
        yield GaugeMetricFamily("s2e_job_leases", "Jobs that a dispatcher leads", now.job_leases)
        yield GaugeMetricFamily("s2e_trial_leases", "Trials leased to programs of users", now.trial_leases)
        yield GaugeMetricFamily("s2e_dispatchers", "Dispatchers that are alive and can work", now.dispatchers)
        yield GaugeMetricFamily("s2e_webhook_queue", "Messages to webhooks that are not taken yet", now.deliveries)
        for name, doc in (("cpus", "CPUs"), ("gpus", "GPUs"), ("busy", "Populations"), ("quarantined", "1: shut")):
            values = {place: getattr(of, name) for place, of in now.places.items()}
            yield _by(f"s2e_place_{name}", f"{doc} of each place that trains", "place", values)


def _by(name: str, doc: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, doc, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
