"""The code base as the list of problem codes reads it: what names mean and who calls what. Nothing is run."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from shared.devtools.house.source import Source, dotted, sources

FOLDERS = ("services", "shared/kit")
Function = ast.FunctionDef | ast.AsyncFunctionDef
ARGUMENTS_THAT_MAKE_NOTHING = frozenset({"isinstance", "issubclass", "cast"})


@dataclass(frozen=True, eq=False)
class Place:
    """Where an expression stands. `name`: the full name of what one calls to run it ("": nobody can call it)."""

    module: "Module"
    function: Function | None
    name: str

    @property
    def title(self) -> str:
        """`file::function`, as the list of exempt places writes it."""
        return f"{self.module.source.name}::{self.function.name if self.function else ''}"


@dataclass(frozen=True, eq=False)
class Call:
    """One call, and where it stands."""

    node: ast.Call
    place: Place

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.place.module.source.name}:{self.node.lineno}"


@dataclass(eq=False)
class Module:
    """One file. `names`: local name → full name; `values`: constants; `classes`, `functions`: by local name."""

    source: Source
    name: str
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Import):
                tops = ((one, one.name.split(".")[0]) for one in node.names)
                self.names |= {one.asname or top: one.name if one.asname else top for one, top in tops}
            elif isinstance(node, ast.ImportFrom):
                self.names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        for top in self.source.tree.body:
            if isinstance(top, Function):
                self.functions[top.name] = top
            elif isinstance(top, ast.ClassDef):
                self.classes[top.name] = top
                self.functions |= {f"{top.name}.{m.name}": m for m in top.body if isinstance(m, Function)}
            elif isinstance(top, ast.Assign) and len(top.targets) == 1 and isinstance(top.targets[0], ast.Name):
                self.values[top.targets[0].id] = top.value
            elif isinstance(top, ast.AnnAssign) and isinstance(top.target, ast.Name) and top.value is not None:
                self.values[top.target.id] = top.value


class Index:
    """All modules below a root that can refuse something."""

    def __init__(self, root: Path) -> None:
        found = [Module(source, _module_name(source.name)) for source in sources(root, *FOLDERS)]
        self.modules = {module.name: module for module in found}

    def full_name(self, module: Module, written: str) -> str:
        """What `a.b` in a module means, through its imports and those of packages; "" for a local variable."""
        head, _, rest = written.partition(".")
        if head in module.names:
            full = module.names[head]
        elif head in module.classes or head in module.functions or head in module.values:
            full = f"{module.name}.{head}"
        else:
            return ""
        return self._followed(f"{full}.{rest}" if rest else full)

    def _followed(self, full: str) -> str:
        owner, inside = self.split(full)
        if owner is None or not inside:
            return full
        head, _, rest = inside.partition(".")
        if head in owner.names:
            further = owner.names[head]
            return self._followed(f"{further}.{rest}" if rest else further)
        return full

    def split(self, full: str) -> tuple[Module | None, str]:
        """The module of a full name, and the rest."""
        parts = full.split(".")
        for length in range(len(parts), 0, -1):
            if (owner := self.modules.get(".".join(parts[:length]))) is not None:
                return owner, ".".join(parts[length:])
        return None, full

    def class_of(self, full: str) -> tuple[Module, ast.ClassDef] | None:
        """A class of the code base by its full name."""
        owner, inside = self.split(full)
        return (owner, owner.classes[inside]) if owner is not None and inside in owner.classes else None

    def value_of(self, module: Module, name: str) -> tuple[Module, ast.expr] | None:
        """A constant by the name under which a module knows it."""
        owner, inside = self.split(self.full_name(module, name))
        return (owner, owner.values[inside]) if owner is not None and inside in owner.values else None

    def parameters(self, full: str) -> dict[str, ast.expr | None] | None:
        """Parameters of a function or class of the code base with their defaults, in order; None: not one of ours."""
        owner, inside = self.split(full)
        if owner is None:
            return None
        if inside in owner.functions:
            return parameters_of(owner.functions[inside])
        made = owner.functions.get(f"{inside}.__init__")
        if made is not None:
            return dict(list(parameters_of(made).items())[1:])
        if inside in owner.classes:
            fields = [one for one in owner.classes[inside].body if isinstance(one, ast.AnnAssign)]
            return {one.target.id: one.value for one in fields if isinstance(one.target, ast.Name)}
        return None

    @cached_property
    def calls(self) -> dict[str, list[Call]]:
        """All calls by the full name of what is called; `super().__init__(…)` is a call of the base class."""
        found: dict[str, list[Call]] = defaultdict(list)
        for module in self.modules.values():
            for node, place, owner in _placed(module):
                if isinstance(node, ast.Call) and (full := self._called(module, node, owner)):
                    found[full].append(Call(node, place))
        return found

    def _called(self, module: Module, node: ast.Call, owner: ast.ClassDef | None) -> str:
        if owner is not None and ast.unparse(node.func) == "super().__init__" and owner.bases:
            return self.full_name(module, dotted(owner.bases[0]))
        written = dotted(node.func)
        if owner is not None and written.startswith("self."):
            return f"{module.name}.{owner.name}.{written.removeprefix('self.')}"
        return self.full_name(module, written)

    def passed_on(self, makers: set[str]) -> Iterator[str]:
        """`file:line` of every use of a maker as a value: whoever gets it calls it unseen."""
        for module in self.modules.values():
            called = {id(node.func) for node, _, _ in _placed(module) if isinstance(node, ast.Call)}
            given = {
                id(one)
                for node, _, _ in _placed(module)
                if isinstance(node, ast.Call) and dotted(node.func) not in ARGUMENTS_THAT_MAKE_NOTHING
                for one in [*node.args, *(keyword.value for keyword in node.keywords)]
            }
            for node, _, _ in _placed(module):
                if not isinstance(node, ast.Name | ast.Attribute) or id(node) in called:
                    continue
                full = self.full_name(module, dotted(node))
                if full in makers and (id(node) in given or self.class_of(full) is None):
                    yield f"{module.source.name}:{node.lineno}"


def parameters_of(function: Function) -> dict[str, ast.expr | None]:
    """Parameters with their defaults, in order."""
    positional = [*function.args.posonlyargs, *function.args.args]
    without = len(positional) - len(function.args.defaults)
    found: dict[str, ast.expr | None] = {one.arg: None for one in positional[:without]}
    found |= {one.arg: value for one, value in zip(positional[without:], function.args.defaults, strict=True)}
    return found | {
        one.arg: value for one, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    }


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _placed(module: Module) -> Iterator[tuple[ast.AST, Place, ast.ClassDef | None]]:
    """Every node below the module with its place and the class around it."""
    top = Place(module, None, "")
    pending: list[tuple[ast.AST, Place, ast.ClassDef | None]] = [(module.source.tree, top, None)]
    while pending:
        node, place, owner = pending.pop()
        for child in ast.iter_child_nodes(node):
            yield child, place, owner
            if isinstance(child, ast.ClassDef):
                pending.append((child, place, child))
            elif isinstance(child, Function):
                pending.append((child, _inside(module, child, place, owner), owner))
            else:
                pending.append((child, place, owner))


def _inside(module: Module, function: Function, place: Place, owner: ast.ClassDef | None) -> Place:
    name = function.name
    if owner is not None:
        name = owner.name if name == "__init__" else f"{owner.name}.{name}"
    # nobody outside calls what is defined inside a function
    return Place(module, function, "" if place.function else f"{module.name}.{name}")
