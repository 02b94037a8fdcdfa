"""Whether two reports are of the same thing."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.cases.domain import Candidate, Sighting, distance_m

COMPARED_MAX = 16


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """When two reports of one kind are of the same thing.

    Near (within `radius_m_max` metres) and close in time (within `hours_max` hours of the first report of the case)
    gives a confidence of 0.6 at the rim and 0.8 at the very place; the same words add up to 0.2, only where both
    reports have words: no words say nothing, and other words for the same thing are usual. Attached from
    `confidence_min` on; a programme that wants words to count sets it above 0.8.
    """

    radius_m_max: float
    hours_max: float
    confidence_min: float
    similarity: Callable[[str, str], float]
    """Likeness of two texts, 0 to 1."""


def nearness(sighting: Sighting, candidate: Candidate, rule: DuplicateRule) -> float:
    """How sure place, time and kind alone make it: 0, or 0.6 to 0.8."""
    case = candidate.case
    metres = distance_m(sighting.lng, sighting.lat, case.lng, case.lat)
    hours = abs((sighting.seen_at - case.seen_at).total_seconds()) / 3600
    if sighting.kind != case.kind or metres > rule.radius_m_max or hours > rule.hours_max:
        return 0.0
    return 0.6 + 0.2 * (1 - metres / rule.radius_m_max)


def confidence(sighting: Sighting, candidate: Candidate, rule: DuplicateRule) -> float:
    """How sure it is that the sighting is of the candidate's thing: 0, or 0.6 to 1."""
    near = nearness(sighting, candidate, rule)
    return (
        near + 0.2 * rule.similarity(sighting.text, candidate.text)
        if near and _have_words(sighting, candidate)
        else near
    )


def _have_words(sighting: Sighting, candidate: Candidate) -> bool:
    return bool(sighting.text and candidate.text)


def best_match(sighting: Sighting, candidates: Sequence[Candidate], rule: DuplicateRule) -> Candidate | None:
    """The candidate to attach the sighting to, the older case where two are equally likely; None: a new thing.

    Words are compared with the `COMPARED_MAX` nearest, and only where that can change the answer: it costs most.
    """
    found = ((nearness(sighting, one, rule), one) for one in candidates)
    near = heapq.nlargest(COMPARED_MAX, ((score, one) for score, one in found if score), key=lambda pair: pair[0])
    if len(near) == 1 and near[0][0] >= rule.confidence_min:
        return near[0][1]
    scored = [(confidence(sighting, candidate, rule), candidate) for _, candidate in near]
    likely = [(score, one) for score, one in scored if score >= rule.confidence_min]
    return min(likely, key=lambda pair: (-pair[0], pair[1].case.opened_at, pair[1].case.case_id))[1] if likely else None
