"""What is broken on purpose: one small change of a module at a time."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_SWAPS: dict[type[ast.AST], ast.AST] = {
    ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt(),
    ast.Eq: ast.NotEq(), ast.NotEq: ast.Eq(), ast.Is: ast.IsNot(), ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(), ast.NotIn: ast.In(), ast.And: ast.Or(), ast.Or: ast.And(),
    ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.Mult: ast.Div(), ast.Div: ast.Mult(),
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A module with one change; `lines` is what it touches."""

    code: CodeType
    lines: range
    at_import: bool
    """The change is outside functions, or in what a `def` evaluates when it runs."""
    change: str


def mutants(source: str, filename: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    for parent, field, index, statement, at_import in list(_places(tree, None, True)):
        siblings = getattr(parent, field)
        old = siblings if index is None else siblings[index]
        for new in _replacements(parent, old):
            change = f"{_text(parent, old)}  ->  {_text(parent, new)}"
            _put(parent, field, index, ast.fix_missing_locations(ast.copy_location(new, old)))
            try:
                code = compile(tree, filename, "exec", dont_inherit=True)
                yield Mutant(code, _head(old if isinstance(old, ast.stmt) else statement), at_import, change)
            finally:
                _put(parent, field, index, old)


def _head(statement: ast.stmt | None) -> range:
    """The lines of a statement; of one that holds others, those before them."""
    if statement is None or statement.end_lineno is None:
        return range(0)
    body: list[ast.stmt] = getattr(statement, "body", [])
    return range(statement.lineno, max(body[0].lineno, statement.lineno + 1) if body else statement.end_lineno + 1)


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


_Place = tuple[ast.AST, str, int | None, ast.stmt | None, bool]


def _places(node: ast.AST, statement: ast.stmt | None, at_import: bool) -> Iterator[_Place]:
    """Every child that may be replaced: parent, field, index in it; the statement around; whether it runs at import."""
    for field, value in ast.iter_fields(node):
        if _is_silent(node, field):
            continue
        outside = at_import and not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and field == "body")
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(child, ast.AST):
                yield node, field, index, statement, outside
                yield from _places(child, child if isinstance(child, ast.stmt) else statement, outside)


def _is_silent(node: ast.AST, field: str) -> bool:
    """What only type checkers and readers of tracebacks and logs would miss."""
    if field in {"annotation", "returns", "decorator_list", "ctx", "format_spec"}:
        return True
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Raise() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Subscript(value=ast.Name(id="dict" | "list" | "set" | "frozenset" | "tuple" | "Literal")):
            return True
        case (
            ast.Call(func=ast.Name(id="cast" | "TypedDict"))
            | ast.Call(func=ast.Attribute(value=ast.Name(id="_log" | "logger")))
        ):
            return True
        case ast.If(test=ast.Call(func=ast.Name(id="hasattr"))):  # what the process was told at import stays told
            return True
        case ast.Dict(values=[ast.Constant(value=str()), *_]):  # a table of names is what somebody decided, right or wrong
            return True
        case (
            ast.Assign(targets=[ast.Name(id="__slots__" | "__all__" | "_log" | "logger")])
            | ast.If(test=ast.Name(id="TYPE_CHECKING"))
        ):
            return True
    return False


def _replacements(parent: ast.AST, node: ast.AST) -> Iterator[ast.AST]:
    if type(node) in _SWAPS:
        yield copy.copy(_SWAPS[type(node)])
    match node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value):
            yield ast.Constant(_other_text(value))
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield inner
        case ast.BoolOp(op=op, values=values):
            for left_out in range(len(values)):
                kept = [value for index, value in enumerate(values) if index != left_out]
                yield kept[0] if len(kept) == 1 else ast.BoolOp(op, kept)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp) and not _is_silent(node, "test"):
                yield _changed(node, test=ast.copy_location(ast.UnaryOp(ast.Not(), test), test))
        case ast.comprehension(ifs=ifs):
            for left_out in range(len(ifs)):
                yield _changed(node, ifs=_without(ifs, left_out))
        case ast.Return(value=ast.AST() as value) if ast.unparse(value) not in {"None", "False"}:
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call(func=called)) if not ast.unparse(called).startswith(("_log.", "logger.")):
            yield ast.Pass()
        case ast.AugAssign() | ast.Continue() | ast.Delete():
            yield ast.Pass()
        case ast.Call(keywords=keywords) if not ast.unparse(node.func).startswith(("_log.", "logger.")):
            for left_out in range(len(keywords)):
                yield _changed(node, keywords=_without(keywords, left_out))


def _without(items: list[ast.expr] | list[ast.keyword], index: int) -> list[ast.AST]:
    return [*items[:index], *items[index + 1 :]]


def _changed(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _other_text(text: str) -> str:
    try:
        return str(float(text) * 2 + 1)  # a figure written as a text, as decimals are
    except ValueError:
        return f"{text}~"


def _text(parent: ast.AST, node: ast.AST) -> str:
    if isinstance(node, ast.operator | ast.boolop | ast.cmpop):
        return f"{type(node).__name__} in {_short(parent)}"
    if isinstance(node, ast.If | ast.While):
        return f"if {_short(node.test)}"
    return _short(node)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
