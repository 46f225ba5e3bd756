"""Judges changed Python with Python's own compiler: lines of {"how": "comments" | "docstrings" | "rename", "before", "after"}. Comments out: the same tree.
Docstrings out: the same but for them. Other names: the same instructions
on the same constants, globals and attributes, variables one to one.
Prints each wrong one and at the end "pairs wrong". Only the standard library."""
import ast
import dis
import json
import sys
import types
import warnings

warnings.simplefilter("ignore")


def without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node, False) is not None:
            del node.body[0]
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.Pass())
    return tree


def instructions(code):
    """(operation, kind, argument) without what names decide: the order of closures' cells, the lengths of jumps, and whether x.f() loads a method (not of imported x)."""
    for i in dis.get_instructions(code):
        if i.opname in ("LOAD_CLOSURE", "MAKE_CELL", "PUSH_NULL", "EXTENDED_ARG"):
            continue
        name = {"LOAD_METHOD": "LOAD_ATTR"}.get(i.opname, i.opname)
        if i.opcode in dis.haslocal or i.opcode in dis.hasfree:
            yield name, "variable", i.argval
        elif i.opcode in dis.hasname:
            yield name, "name", i.argval
        elif i.opcode in dis.hasconst:
            yield name, "constant", i.argval
        elif i.opcode in dis.hasjrel or i.opcode in dis.hasjabs:
            yield name, "jump", None
        else:
            yield name, "", i.arg


def same_code(a, b, outer=None):
    """Variables are one to one, in closures as outside of them; everything else is the same."""
    if a.co_name != b.co_name or a.co_argcount != b.co_argcount or a.co_kwonlyargcount != b.co_kwonlyargcount or a.co_flags != b.co_flags:
        return False
    there = {name: outer.get(name, name) for name in a.co_freevars} if outer is not None else {}
    pairs = list(zip(a.co_varnames[: a.co_argcount + a.co_kwonlyargcount], b.co_varnames))
    nested, xs, ys = [], list(instructions(a)), list(instructions(b))
    if len(xs) != len(ys):
        return False
    for (op, kind, x), (op2, kind2, y) in zip(xs, ys):
        if op != op2 or kind != kind2:
            return False
        if kind == "variable":
            pairs.append((x, y))
        elif isinstance(x, types.CodeType):
            if not isinstance(y, types.CodeType):
                return False
            nested.append((x, y))
        elif kind != "jump" and (type(x) is not type(y) or (x != y and repr(x) != repr(y))):
            return False
    for x, y in pairs:
        if there.setdefault(x, y) != y:
            return False
    if len(set(there.values())) != len(there):
        return False
    return all(same_code(x, y, there) for x, y in nested)


def same(row):
    before = ast.parse(row["before"])
    try:
        after = ast.parse(row["after"])
    except SyntaxError as e:
        return str(e)
    if row["how"] == "docstrings":
        before, after = without_docstrings(before), without_docstrings(after)
    if row["how"] != "rename":
        return "" if ast.dump(before) == ast.dump(after) else "another tree"
    return "" if same_code(compile(row["before"], "x", "exec"), compile(row["after"], "x", "exec")) else "other instructions"


def main():
    pairs = wrong = 0
    for line in sys.stdin:
        row = json.loads(line)
        try:
            compile(row["before"], "x", "exec")
        except (SyntaxError, ValueError):
            continue
        pairs += 1
        if fault := same(row):
            wrong += 1
            print(row["how"], row.get("file", ""), fault)
    print(pairs, wrong)
    sys.exit(wrong > 0)


main()
