"""Small mistakes in a module, one at a time: what a test of tests is tried on."""

import ast
import copy
from collections.abc import Iterator

OTHER_COMPARISON = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OTHER_CONSTANT = {True: False, False: True, None: False}
NOT_DECIDING = {"shown", "_certificate", "_joined", "asks", "_spelled"}
"""Functions that only spell what was decided."""
READING = {"_bare", "_rises", "read_group", "read_liking", "_near", "_points"}
"""Functions that read files: test_typos.py makes mistakes in those instead."""


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """(what was changed where, mutated source) for every mistake that can be made inside a function."""
    tree = ast.parse(source)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        if function.name in NOT_DECIDING | READING:
            continue
        for statement in function.body:
            for node in _evaluated(statement):
                for what, changed in _changes(node):
                    yield f"{function.name}, line {node.lineno}: {what}", _with(tree, node, changed)


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but for annotations, which nobody reads when the function runs."""
    yield node
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if name != "annotation" and isinstance(child, ast.AST):
                yield from _evaluated(child)


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER_COMPARISON:
        other = OTHER_COMPARISON[type(node.ops[0])]()
        yield f"{ast.unparse(node)} with {type(other).__name__}", _replaced(node, ops=[other, *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"{ast.unparse(node)} with {type(other).__name__}", _replaced(node, op=other)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"{ast.unparse(node)} without not", node.operand
    elif isinstance(node, ast.IfExp):
        yield f"{ast.unparse(node)} the other way round", _replaced(node, body=node.orelse, orelse=node.body)
    elif isinstance(node, ast.If):
        for truth in (True, False):
            yield f"if {ast.unparse(node.test)} always {truth}", _replaced(node, test=ast.Constant(truth))
    elif isinstance(node, ast.Constant) and any(node.value is value for value in OTHER_CONSTANT):
        yield f"{node.value} as {OTHER_CONSTANT[node.value]}", _replaced(node, value=OTHER_CONSTANT[node.value])
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield f"{ast.unparse(node)} with the left side only", node.left


def _replaced(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _with(tree: ast.Module, old: ast.AST, new: ast.AST) -> str:
    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old else self.generic_visit(node)

    # The transformer changes nodes in place, so it works on a copy that still finds the old node by identity.
    memo = {id(old): old}
    return ast.unparse(ast.fix_missing_locations(Replace().visit(copy.deepcopy(tree, memo))))
