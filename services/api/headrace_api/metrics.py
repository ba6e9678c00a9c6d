"""The api's own metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Requests by route template, never by path: ids would make a series each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "headrace_api_requests_total", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "headrace_api_request_seconds", "Time to the first byte of the answer.", ("method", "route"),
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self.streams = Gauge("headrace_api_streams", "Streams of run changes open now.", registry=registry)
