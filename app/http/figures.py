"""What a process has counted, as Prometheus reads it. Owns the format; who counts keeps plain numbers and is asked."""

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"


class Figure(msgspec.Struct, frozen=True):
    """One number. A counter only grows, and its name ends in `_total`."""

    name: str
    kind: Literal["gauge", "counter"]
    about: str
    value: float


def render(figures: Callable[[], Iterable[Figure]]) -> bytes:
    """The figures, and those of the process itself (memory, processor time, garbage collections)."""
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    class Collector:
        """Asks when it is asked."""

        def collect(self) -> Iterable[Any]:
            for figure in figures():
                family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
                yield family(figure.name, figure.about, value=figure.value)

    own = CollectorRegistry(auto_describe=False)
    own.register(Collector())
    return generate_latest(REGISTRY) + generate_latest(own)
