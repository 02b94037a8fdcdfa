"""Where companies' secrets come from: looked up once for all who ask at the same time, and kept for a moment.

Anybody may name any company. A name that this process knows no key of is looked up only where the caller's address has
requests left, so that invented names cost the database no more than the limit allows.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from shared.kit.http.shared_answer import SharedAnswer
from shared.kit.problems import RATE_LIMITED
from shared.kit.refusals import Refusal

COMPANIES_MAX = 1_000
"""How many are kept, of those with keys and of names without any each: invented names push no company out."""
CODES_FRESH_S = 5.0

Ask = Callable[[], Awaitable[object]]
"""Asks whether a look-up is allowed; raises the 429 problem where it isn't."""


@dataclass(frozen=True, slots=True)
class Signer:
    """What is known of who may have signed: the active secrets, newest first; none of an unknown company.

    A suspended company keeps its secrets: it learns why it is refused instead of being taken for somebody else.
    """

    keys: Sequence[bytes] = ()
    suspended: bool = False


NOBODY = Signer()
Load = Callable[[str], Awaitable[Signer]]
Codes = Callable[[], Awaitable[Collection[str]]]
_Answers = OrderedDict[str, SharedAnswer[Signer]]


class KeyRing(Protocol):
    """Where companies' secrets come from."""

    async def signer(self, company: str, ask: Ask | None = None) -> Signer:
        """The company as it is now, NOBODY where there is none. Revoked secrets are left out.

        `ask` comes before a look-up of a name that nothing is known of, and may refuse it by raising.
        """
        ...


class CachedKeyRing:
    """Keeps the answers of `load` for `ttl_s` seconds: the longest that a revoked key still works in this process, and
    that a suspension is not heard of.

    A company whose keys were seen is looked up without asking. `codes`: all companies' codes, asked at most once in
    CODES_FRESH_S where a look-up is refused, so that a company doesn't wait for what others send from its address.
    """

    def __init__(self, load: Load, ttl_s: float = 2.0, *, codes: Codes | None = None) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._codes = None if codes is None else SharedAnswer(codes, CODES_FRESH_S)
        self._known: _Answers = OrderedDict()
        self._others: _Answers = OrderedDict()

    async def signer(self, company: str, ask: Ask | None = None) -> Signer:
        """The company as it was at most `ttl_s` ago. Raises what `ask` and `load` raise."""
        answer = self._at_hand(company)
        if answer is None:
            if ask is not None:
                await self._check(company, ask)
            # meanwhile somebody else may have begun to look
            answer = self._at_hand(company) or SharedAnswer(partial(self._load, company), self._ttl_s)
            _keep(self._others, company, answer)
        signer = await answer.get()
        if signer.keys:
            self._others.pop(company, None)
            _keep(self._known, company, answer)
        elif self._known.pop(company, None) is not None:
            _keep(self._others, company, answer)
        return signer

    def _at_hand(self, company: str) -> SharedAnswer[Signer] | None:
        """What needs no permission: a company's whose keys were seen, or what is looked up now or was a moment ago."""
        if (known := self._known.get(company)) is not None:
            return known
        other = self._others.get(company)
        return other if other is not None and other.is_fresh else None

    async def _check(self, company: str, ask: Ask) -> None:
        try:
            await ask()
        except Refusal as refused:
            if refused.problem is not RATE_LIMITED or self._codes is None or company not in await self._codes.get():
                raise


def _keep(answers: _Answers, company: str, answer: SharedAnswer[Signer]) -> None:
    answers[company] = answer
    answers.move_to_end(company)
    if len(answers) > COMPANIES_MAX:
        answers.popitem(last=False)
