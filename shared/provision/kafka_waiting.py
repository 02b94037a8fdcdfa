"""Waiting for what a Kafka cluster has been asked to do."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException

from shared.kit import clock

TIMEOUT_S = 30.0


def wait_for(futures: Mapping[Any, Future[Any]], *tolerated: int) -> None:
    """Waits for all results. Raises the first error whose code isn't tolerated."""
    for future in futures.values():
        try:
            future.result(timeout=TIMEOUT_S * 2)
        except KafkaException as error:
            if error.args[0].code() not in tolerated:
                raise


def until(done: Callable[[], bool], what: str) -> None:
    """Waits until the broker shows what the controller has accepted (milliseconds usually). Raises TimeoutError."""
    deadline = clock.monotonic_s() + TIMEOUT_S
    while not done():
        if clock.monotonic_s() > deadline:
            raise TimeoutError(f"Kafka doesn't show the new {what} after {TIMEOUT_S:.0f} s")
        time.sleep(0.02)
