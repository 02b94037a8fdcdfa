"""Every alert of ops/prometheus/rules with what causes it; entered, a cause is there; left, it is repaired.

GROUPS is the table. The causes of a group are there at the same time, where each alone would take a minute.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from shared.devtools.installation import ROOT
from tests.promises.support import causes_business as business
from tests.promises.support import causes_events as events
from tests.promises.support import causes_objectives as objectives
from tests.promises.support import causes_processes as processes
from tests.promises.support.prometheus import rules
from tests.promises.support.watched import Watched


@dataclass(frozen=True)
class Cause:
    """`alerts`: what it raises, as `prometheus.in_words` has it. `small`: three services and no city are enough."""

    made: Callable[[Watched], AbstractAsyncContextManager[None]]
    alerts: tuple[str, ...]
    small: bool = False

    @property
    def name(self) -> str:
        """In words."""
        return self.made.__name__.replace("_", " ")


def _burns(alert: str) -> tuple[str, ...]:
    """An objective's four pairs of windows."""
    return (f"{alert} page 1h", f"{alert} page 6h", f"{alert} ticket 1d", f"{alert} ticket 3d")


GROUPS: tuple[tuple[Cause, ...], ...] = (
    (Cause(processes.a_killed_process, ("ServiceDown page routing", "ConsumerSilent page routing"), small=True),),
    (Cause(events.an_unreadable_record, ("DeadLettersOpen ticket routing",), small=True),),
    (Cause(events.a_producer_of_nonsense, ("TopicStandsStill page routing",)),),
    (Cause(events.events_that_kafka_refuses, ("OutboxRefused page routing", "OutboxRefused ticket routing")),),
    (Cause(objectives.intake_refuses_and_is_slow, (*_burns("IntakeAvailabilityBurn"), *_burns("IntakeLatencyBurn"))),),
    (Cause(objectives.riders_are_notified_late, _burns("TimeToNotifiedBurn")),),
    (
        Cause(objectives.reports_are_routed_late, _burns("TimeToRoutedBurn")),
        Cause(business.reports_from_elsewhere, ("ReportsUnroutable ticket",)),
    ),
    (
        Cause(
            business.reports_that_nobody_looks_at,
            ("UnroutableWaiting page emergency", "UnroutableWaiting ticket hazard"),
        ),
    ),
    (Cause(business.a_suspicion_that_nobody_decides_on, ("SuspicionsWaiting ticket",)),),
    (Cause(objectives.points_are_posted_late, _burns("PointsPostedBurn")),),
    (
        Cause(processes.an_issuer_without_keys, ("IssuerKeysUnavailable page riders",)),
        Cause(
            processes.a_certificate_of_two_days,
            ("CertificateExpiring page notifications", "CertificateExpiring ticket notifications"),
        ),
        Cause(processes.a_pool_that_waits_for_a_lock, ("PostgresPoolExhausted page riders",)),
        Cause(business.a_locked_map, ("RoutingMapStale page routing",)),
    ),
    (
        Cause(events.kinds_that_nobody_knows, ("RecordsRefused ticket intake",)),
        Cause(events.a_company_with_too_many_letters, ("DeadLettersOverBound ticket suda",)),
    ),
    (Cause(events.days_that_nobody_made, ("InboxDaysMissing ticket routing",)),),
    (Cause(events.old_records_behind_a_lock, ("ConsumerLagging ticket routing", "ConsumerLagging page routing")),),
    (
        Cause(
            events.a_full_outbox_without_a_relay,
            ("RelayWithoutLeader page points", "OutboxFilling page points", "LedgerUnchecked ticket points"),
        ),
    ),
    (
        Cause(
            business.cases_near_and_past_their_limits,
            ("DeadlinesNear ticket hazard", "DeadlinesMissed page emergency", "DeadlinesMissed ticket routine"),
        ),
    ),
    (Cause(business.points_from_nowhere, ("LedgerUnbalanced page points",)),),
    (
        Cause(
            business.crowds_that_nobody_serves,
            ("CrowdUnfinished ticket points", "CrowdUnfinished ticket notifications"),
        ),
    ),
    (
        Cause(business.words_that_nobody_answers, ("StationFeedbackOverdue ticket stations",)),
        Cause(business.stations_that_nobody_looks_at, ("StationsBehind ticket stations",)),
    ),
    (Cause(business.a_draw_that_nobody_holds, ("DrawOverdue ticket activities",)),),
    (Cause(business.a_review_that_nobody_does, ("TaskReviewsOverdue ticket tasks",)),),
    (Cause(business.a_key_of_two_years, ("CompanyKeyOld ticket laohao",)),),
    (Cause(business.an_erasure_that_one_service_missed, ("ErasureNotWhole ticket cases",)),),
    (
        Cause(
            business.a_company_that_does_not_answer, ("DeliveriesDead ticket webhook", "DeliveriesLate ticket webhook")
        ),
    ),
    (Cause(events.a_broker_that_stands_still, ("OutboxStuck page routing",)),),
)


# Rules about servers and operators of a cluster, which isn't here: promtool alone raises them (ops/prometheus/tests).
IN_A_CLUSTER = "servers.yml"


def unseen(root: Path = ROOT) -> list[str]:
    """Alerting rules that no cause raises, and alerts of causes that no rule defines; in words, for a test."""
    seen = {alert for group in GROUPS for cause in group for alert in cause.alerts}
    wanted = rules(root, but=IN_A_CLUSTER)
    return [
        *sorted(f"no cause raises {rule}" for rule in wanted if not any(_is_of(alert, rule) for alert in seen)),
        *sorted(f"no rule defines {alert}" for alert in seen if not any(_is_of(alert, rule) for rule in wanted)),
    ]


def _is_of(alert: str, rule: str) -> bool:
    return alert == rule or alert.startswith(f"{rule} ")
