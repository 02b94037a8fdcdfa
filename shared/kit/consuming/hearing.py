"""Whether the broker still answers a consumer: an empty poll looks the same with a broker and without one."""

from aiokafka import AIOKafkaConsumer

from shared.kit import clock

# An empty partition is answered for every three seconds; a broker that restarts may take its time.
UNHEARD_AFTER_S = 20.0


class Hearing:
    """Remembers when the broker has last answered; `since_s` is in seconds since 1970."""

    def __init__(self) -> None:
        self.since_s = clock.unix_s()
        self._expects = False

    def listen(self, consumer: AIOKafkaConsumer, *, idle: bool) -> bool:
        """Whether the broker has just said that nothing waits. One without partitions hears nothing.

        While records wait here nothing more is asked for: silence counts from when the consumer is idle.
        """
        assigned = consumer.assignment()
        self._expects = idle and bool(assigned)
        if not idle:
            self.since_s = clock.unix_s()
        answers_ms = (consumer.last_poll_timestamp(partition) or 0 for partition in assigned)
        self.since_s = max(self.since_s, max(answers_ms, default=0) / 1000)
        return self._expects and self._silent_s < UNHEARD_AFTER_S

    @property
    def trouble(self) -> str | None:
        """Since when the broker is silent, where it should speak: not to one who is busy or has no partition."""
        if not self._expects or self._silent_s < UNHEARD_AFTER_S:
            return None
        return f"the broker has not answered for {self._silent_s:.0f} s"

    @property
    def _silent_s(self) -> float:
        return max(0.0, clock.unix_s() - self.since_s)
