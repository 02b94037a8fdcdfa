"""Every problem code that the code base can answer with: read from the calls that make problems, without running them.

A call may name its code as a literal, as a constant, as a parameter (then every caller is asked), as `refusal.code` of
an object whose class is known (then everything that makes such objects is asked), or as the key of the constant table
from which it takes its title (then all keys are possible). Anything else is an error unless EXEMPT tells its codes.
"""

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.devtools.gen.problem_index import Call, Index, Place, parameters_of
from shared.devtools.house.source import dotted
from shared.kit.http.problems import from_status

PROBLEM = "shared.kit.http.problems.ApiProblem"
ITEM = "shared.kit.http.items.ItemProblem"
FROM_STATUS = "shared.kit.http.problems.from_status"
BY_STATUS = {
    FROM_STATUS: "status",
    "starlette.exceptions.HTTPException": "status_code",
    "fastapi.HTTPException": "status_code",
    "fastapi.exceptions.HTTPException": "status_code",
}
"""What takes its code from an HTTP status, and the name of its first parameter."""
PRIMITIVES = frozenset({PROBLEM, ITEM, *BY_STATUS})
DEPTH_MAX = 6


@dataclass(frozen=True)
class Made:
    """One way to one problem. `status` None: a member of a list of results, without a status of its own."""

    code: str
    status: int | None
    title: str


@dataclass(frozen=True)
class Exempt:
    """What a call that can't be read makes, and why it can't be read."""

    reason: str
    made: tuple[Made, ...]


def _of_status(status: int) -> Made:
    problem = from_status(status)
    return Made(problem.code, status, str(problem.title))


EXEMPT: Mapping[str, Exempt] = {
    "shared/kit/http/problems.py::_from_http_exception": Exempt(
        "the statuses that the framework raises by itself: bad form, no route, no such method",
        tuple(_of_status(status) for status in (400, 404, 405)),
    ),
    "shared/kit/http/problems.py::problem_responses": Exempt(
        "examples of the OpenAPI documents: nobody is refused by them", ()
    ),
    "shared/kit/http/items.py::of": Exempt(
        "passes on the problem of an item of the wrong shape",
        (
            Made("validation_failed", None, "内容不符合要求 / Content not acceptable"),
            Made("malformed_event", None, "不是有效的 CloudEvent / Malformed CloudEvent"),
        ),
    ),
    "services/rewards/api/redemptions.py::_problem": Exempt(
        "the code is made from the voucher's state: what has a code was issued, so it is used or expired by now",
        (
            Made("voucher_used", 409, "券已使用 / Already used"),
            Made("voucher_expired", 409, "券已失效 / No longer valid"),
        ),
    ),
}
"""Place → what its unreadable call makes."""


class Unreadable(Exception):
    """A call whose problem can't be told from the code: one line for each, with file and line."""


class _Unknown(Exception):
    """An expression without a value that can be read."""


@dataclass(eq=False)
class _Needed(Exception):
    """A value is missing: of a parameter, or of the object `name`, at a level of the chain."""

    level: int
    name: str
    is_object: bool


@dataclass(frozen=True)
class _Chain:
    """Calls from the innermost outwards, each standing in what the next one calls; `known`: values told."""

    calls: tuple[Call, ...]
    callees: tuple[str, ...]
    known: Mapping[tuple[int, str], Any]

    @property
    def outermost(self) -> Call:
        return self.calls[-1]

    def place(self, level: int) -> Place:
        return self.calls[level].place


Answer = tuple[dict[str, Any], Place]


class Reader:
    """Reads all problems of the code below a root."""

    def __init__(self, root: Path, exempt: Mapping[str, Exempt] = EXEMPT) -> None:
        self.index = Index(root)
        self._exempt = exempt
        self._used: set[str] = set()
        self._makers = {PROBLEM, ITEM, FROM_STATUS}
        self._faults: list[str] = []

    def all(self) -> list[tuple[Made, Place]]:
        """Every problem with the place that decides for it.

        Raises:
            Unreadable: a call that can't be read, a maker that is passed on as a value, or an exemption without a use.
        """
        found = list(self._found())
        faults = [f"{where}: passes a maker of problems on as a value" for where in self.index.passed_on(self._makers)]
        faults += [f"{title}: is exempt and needn't be" for title in self._exempt.keys() - self._used]
        faults += [
            f"{place.title}: no title of the form 'Chinese / English': {made.title!r} of {made.code}"
            for made, place in found
            if made.title.count(" / ") != 1
        ]
        if faults := sorted({*self._faults, *faults}):
            raise Unreadable("\n".join(faults))
        return found

    def _found(self) -> Iterator[tuple[Made, Place]]:
        for primitive in sorted(PRIMITIVES):
            wanted: tuple[str, ...] = ("code", "title") if primitive == ITEM else ("code", "status", "title")
            if primitive in BY_STATUS:
                wanted = (BY_STATUS[primitive],)
            for call in self.index.calls.get(primitive, ()):
                # from_status makes its problem itself: it is read at its callers
                if call.place.name in BY_STATUS:
                    continue
                for values, place in self._read(call, primitive, wanted):
                    if primitive in BY_STATUS:
                        yield _of_status(values[BY_STATUS[primitive]]), place
                    else:
                        yield Made(values["code"], values.get("status"), values["title"]), place

    def _read(self, call: Call, callee: str, wanted: tuple[str, ...]) -> Iterator[Answer]:
        """All values of the wanted arguments, with the places that decide for them; faults are kept for later."""
        yield from self._solve(_Chain((call,), (callee,), {}), wanted)

    def _solve(self, chain: _Chain, wanted: tuple[str, ...]) -> Iterator[Answer]:
        further: Iterable[_Chain] = ()
        try:
            values = {name: self._argument(chain, 0, name) for name in wanted}
            yield values, chain.outermost.place
        except _Needed as needed:
            try:
                further = list(self._objects(chain, needed) if needed.is_object else self._callers(chain))
            except _Unknown as unknown:
                yield from self._exempted(chain, wanted, unknown)
        except _Unknown as unknown:
            try:
                further = list(self._keys(chain, wanted))
            except _Unknown:
                yield from self._exempted(chain, wanted, unknown)
        for longer in further:
            yield from self._solve(longer, wanted)

    def _exempted(self, chain: _Chain, wanted: tuple[str, ...], unknown: _Unknown) -> Iterator[Answer]:
        call = chain.outermost
        title = call.place.title
        if title not in self._exempt:
            self._faults.append(f"{call.where}: can't read {unknown} in `{ast.unparse(call.node)}`")
            return
        self._used.add(title)
        for one in self._exempt[title].made:
            values = {"code": one.code, "status": one.status, "title": one.title, "status_code": one.status}
            yield {name: values[name] for name in wanted}, call.place

    def _callers(self, chain: _Chain) -> Iterator[_Chain]:
        place = chain.outermost.place
        if len(chain.calls) > DEPTH_MAX:
            raise _Unknown("the code through so many calls")
        if self.index.parameters(place.name) is None or "." in self.index.split(place.name)[1]:
            raise _Unknown(f"the calls of {place.title}")
        self._makers.add(place.name)
        for call in self.index.calls.get(place.name, ()):
            yield _Chain((*chain.calls, call), (*chain.callees, place.name), chain.known)

    def _objects(self, chain: _Chain, needed: _Needed) -> Iterator[_Chain]:
        """The chain once for each way in which the object can have been made."""
        place = chain.place(needed.level)
        for full in self._classes(place, needed.name):
            fields = tuple(name for name in self.index.parameters(full) or () if name in ("code", "title"))
            for call in self.index.calls.get(full, ()):
                for values, _ in self._read(call, full, fields):
                    told = {(needed.level, f"{needed.name}.{name}"): value for name, value in values.items()}
                    yield _Chain(chain.calls, chain.callees, {**chain.known, **told})

    def _keys(self, chain: _Chain, wanted: tuple[str, ...]) -> Iterator[_Chain]:
        """The chain once for each key of the table that gives the title, where the code is the key."""
        if not {"code", "title"} <= set(wanted):
            raise _Unknown("the code")
        (level, code), (of_title, title) = (self._traced(chain, 0, name) for name in ("code", "title"))
        if level != of_title or not isinstance(title, ast.Subscript) or ast.dump(title.slice) != ast.dump(code):
            raise _Unknown("the code")
        table = self._value(chain, level, title.value)
        if (level, ast.unparse(code)) in chain.known or not isinstance(table, dict):
            raise _Unknown("the title or the status")
        for key in table:
            yield _Chain(chain.calls, chain.callees, {**chain.known, (level, ast.unparse(code)): key})

    def _traced(self, chain: _Chain, level: int, name: str) -> tuple[int, ast.expr]:
        """Where an argument is written first: a helper's parameter is followed to the helper's call."""
        given = self._given(chain, level, name)
        if given is None:
            raise _Unknown(name)
        function = chain.place(level).function
        is_parameter = isinstance(given, ast.Name) and function is not None and given.id in parameters_of(function)
        if isinstance(given, ast.Name) and is_parameter and level + 1 < len(chain.calls):
            return self._traced(chain, level + 1, given.id)
        return level, given

    def _given(self, chain: _Chain, level: int, name: str) -> ast.expr | None:
        """What the call of a level gives for a parameter, or nothing."""
        node, callee = chain.calls[level].node, chain.callees[level]
        positional = list(itertools.takewhile(lambda one: not isinstance(one, ast.Starred), node.args))
        names = list(self.index.parameters(callee) or (name,))
        given = {one.arg: one.value for one in node.keywords} | dict(zip(names, positional, strict=False))
        if name not in given and (len(positional) < len(node.args) or None in given):
            raise _Unknown(f"{name} among * or **")
        return given.get(name)

    def _argument(self, chain: _Chain, level: int, name: str) -> Any:
        given = self._given(chain, level, name)
        if given is not None:
            return self._value(chain, level, given)
        default = (self.index.parameters(chain.callees[level]) or {}).get(name)
        if not isinstance(default, ast.Constant):
            raise _Unknown(name)
        return default.value

    def _value(self, chain: _Chain, level: int, node: ast.expr) -> Any:
        """The value of an expression that stands at a level. Raises _Needed or _Unknown."""
        if (level, ast.unparse(node)) in chain.known:
            return chain.known[level, ast.unparse(node)]
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self._named(chain, level, node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if self._classes(chain.place(level), node.value.id):
                raise _Needed(level, node.value.id, is_object=True)
            return self._constant(chain.place(level), dotted(node))
        if isinstance(node, ast.Subscript):
            return self._entry(self._value(chain, level, node.value), self._value(chain, level, node.slice))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            table, arguments = self._value(chain, level, node.func.value), node.args
            if isinstance(table, dict) and len(arguments) == 2:
                key, other = (self._value(chain, level, one) for one in arguments)
                return table.get(key, other)
        raise _Unknown(f"`{ast.unparse(node)}`")

    @staticmethod
    def _entry(table: Any, key: Any) -> Any:
        if not isinstance(table, dict) or key not in table:
            raise _Unknown(f"the entry {key!r}")
        return table[key]

    def _named(self, chain: _Chain, level: int, name: str) -> Any:
        function = chain.place(level).function
        if function is None:
            return self._constant(chain.place(level), name)
        stored = [one for one in ast.walk(function) if _stores(one, name)]
        if name in parameters_of(function) and not stored:
            if level + 1 < len(chain.calls):
                return self._argument(chain, level + 1, name)
            raise _Needed(level, name, is_object=False)
        assigned = [
            one.value for one in ast.walk(function) if isinstance(one, ast.Assign) and _stores(one.targets[0], name)
        ]
        if len(assigned) == len(stored) == 1:
            return self._value(chain, level, assigned[0])
        if stored:
            raise _Unknown(f"`{name}`")
        return self._constant(chain.place(level), name)

    def _constant(self, place: Place, written: str) -> Any:
        found = self.index.value_of(place.module, written)
        if found is None:
            raise _Unknown(f"`{written}`")
        try:
            return ast.literal_eval(found[1])
        except ValueError as error:
            raise _Unknown(f"`{written}`") from error

    def _classes(self, place: Place, name: str) -> list[str]:
        """Classes with a `code`, of which the parameter or the caught exception `name` may be."""
        function = place.function
        if function is None:
            return []
        told = [one.annotation for one in [*function.args.args, *function.args.kwonlyargs] if one.arg == name]
        told += [one.type for one in ast.walk(function) if isinstance(one, ast.ExceptHandler) and one.name == name]
        found = [full for one in told if one is not None for full in self._mentioned(place, one)]
        return [full for full in found if full not in PRIMITIVES and "code" in (self.index.parameters(full) or {})]

    def _mentioned(self, place: Place, annotation: ast.expr) -> Iterator[str]:
        for node in ast.walk(annotation):
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            full = self.index.full_name(place.module, dotted(node))
            if self.index.class_of(full) is not None:
                yield full
            elif (alias := self.index.value_of(place.module, dotted(node))) is not None:
                yield from self._mentioned(Place(alias[0], None, ""), alias[1])


def _stores(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
