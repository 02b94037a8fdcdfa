"""A rush hour in steps of ten seconds: reports queue before each hop; pods and shared servers take what they can."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.devtools.capacity.model import SERVERS, Measured
from shared.synthetic.pace import STEP_S, rush

SETTLE_S = 1800
PATIENCE_S = 60.0
"""A queue whose last report waits longer has saturated."""
LOAD_MOST = 1_000.0


@dataclass(frozen=True)
class Equipment:
    """Pods by service and cores by server; a pod uses one core at most, for a service is one Python process."""

    pods: Mapping[str, int]
    cores: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """The worst of the hour: reports waiting and their wait by hop, and the busiest share of each part."""

    waiting: Mapping[str, float]
    wait_s: Mapping[str, float]
    busy: Mapping[str, float]

    @property
    def saturated(self) -> str | None:
        """The part whose capacity was used up while reports waited longer than a minute; none: all kept up."""
        if max(self.wait_s.values()) <= PATIENCE_S:
            return None
        return max(self.busy, key=lambda part: self.busy[part])


def rush_hour(measured: Measured, equipment: Equipment, peak: float, mean_to_peak: float = 1 / 3) -> Outcome:
    """Run the hour and half an hour after it. Servers are shared: each hop has the part of them that it needs."""
    services = measured.services
    queue = dict.fromkeys(services, 0.0)
    waiting = dict.fromkeys(services, 0.0)
    wait_s = dict.fromkeys(services, 0.0)
    busy = dict.fromkeys([*services, *measured.servers], 0.0)
    share = _shares(measured)
    for coming in [*rush(peak, mean_to_peak), *[0.0] * (SETTLE_S // STEP_S)]:
        inflow = coming
        wanted = {}
        for name in services:
            able = equipment.pods[name] / measured.life_s(name)
            offered = queue[name] / STEP_S + inflow
            wanted[name] = inflow = min(offered, able)
            busy[name] = max(busy[name], offered / able)
        slow = _slowdown(measured, equipment, wanted, share, busy)
        inflow = coming
        for name in services:
            done = min(queue[name] / STEP_S + inflow, wanted[name] * slow)
            queue[name] += (inflow - done) * STEP_S
            waiting[name] = max(waiting[name], queue[name])
            wait_s[name] = max(wait_s[name], queue[name] / done if done else 0.0)
            inflow = done
    return Outcome(waiting, wait_s, busy)


def _shares(measured: Measured) -> dict[str, float]:
    """Which part of the servers' work for a report each hop causes: as its own work, for nothing finer is measured."""
    whole = sum(measured.life_s(name) for name in measured.services)
    return {name: measured.life_s(name) / whole for name in measured.services}


def _slowdown(
    measured: Measured,
    equipment: Equipment,
    wanted: Mapping[str, float],
    share: Mapping[str, float],
    busy: dict[str, float],
) -> float:
    slow = 1.0
    for server in (name for name in SERVERS if name in measured.servers):
        need = sum(wanted[name] * share[name] for name in wanted) * measured.life_s(server)
        load = need / equipment.cores[server]
        busy[server] = max(busy[server], load)
        slow = min(slow, 1.0 / load if load > 1 else 1.0)
    return slow


@dataclass(frozen=True)
class Limit:
    """The load, as a multiple of the planned peak, at which something first saturates, and what that is."""

    times: float
    part: str
    outcome: Outcome


def first_limit(measured: Measured, equipment: Equipment, peak: float) -> Limit:
    """Find the smallest such load, to a twentieth.

    Raises:
        ValueError: nothing saturates at a thousand times the peak: the measurement can't be right.
    """
    held, times = 0.0, 1.0
    while (outcome := rush_hour(measured, equipment, peak * times)).saturated is None:
        held, times = times, times * 2
        if times > LOAD_MOST:
            raise ValueError("nothing saturates: is there any cost in the measurement?")
    while times - held > 0.05:
        middle = (held + times) / 2
        tried = rush_hour(measured, equipment, peak * middle)
        if tried.saturated is None:
            held = middle
        else:
            times, outcome = middle, tried
    return Limit(round(times, 1), outcome.saturated or "", outcome)
