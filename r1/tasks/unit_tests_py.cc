#include "r1/tasks/unit_tests_py.h"

namespace r1::tasks {

const char* const kUnitTestsPython = R"py(
import ast, builtins, copy, json, re, sys, textwrap

BUILTINS = set(dir(builtins))
STANDARD = set(sys.stdlib_module_names)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Assert, ast.Import, ast.ImportFrom, ast.Pass, ast.Delete)


def parsed(text):
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def calls(node, names):
    """Does it call, or otherwise read, one of the names?"""
    return any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(node))


def loaded(nodes):
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def bound(node):
    """Names that a statement gives a value to."""
    out = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
            out.add(n.id)
        elif isinstance(n, FUNCTIONS + (ast.ClassDef,)):
            out.add(n.name)
        elif isinstance(n, ast.alias):
            out.add((n.asname or n.name).partition('.')[0])
        elif isinstance(n, ast.arg):
            out.add(n.arg)
        elif isinstance(n, ast.ExceptHandler) and n.name:
            out.add(n.name)
    return out


# ---- the code ----

def definitions(tree):
    return [n for n in tree.body if isinstance(n, FUNCTIONS + (ast.ClassDef,))]


def list_functions(code):
    tree = ast.parse(code)
    out = []
    for node in definitions(tree):
        if not node.name.startswith('_') and node.name not in ('main', 'check') and not node.name.startswith('test'):
            out.append({'name': node.name, 'source': ast.get_source_segment(code, node) or '', 'method': isinstance(node, ast.ClassDef)})
    return {'functions': out}


STUB_VALUES = [None, 987654321.125]


def make_stubs(code):
    out = []
    for value in STUB_VALUES:
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS) and not (node.name.startswith('__') and node.name.endswith('__')):
                node.body = [ast.Return(ast.Constant(value))]
        out.append(ast.unparse(ast.fix_missing_locations(tree)))
    return {'stubs': out}


# ---- mutants ----

COMPARE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
           ast.Is: ast.IsNot, ast.IsNot: ast.Is}
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
              ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift}
SIGNS = {ast.Lt: '<', ast.LtE: '<=', ast.Gt: '>', ast.GtE: '>=', ast.Eq: '==', ast.NotEq: '!=', ast.In: 'in', ast.NotIn: 'not in', ast.Is: 'is', ast.IsNot: 'is not',
         ast.Add: '+', ast.Sub: '-', ast.Mult: '*', ast.Div: '/', ast.FloorDiv: '//', ast.Mod: '%', ast.Pow: '**', ast.BitAnd: '&', ast.BitOr: '|',
         ast.BitXor: '^', ast.LShift: '<<', ast.RShift: '>>', ast.And: 'and', ast.Or: 'or'}
CALLS = {'min': 'max', 'max': 'min', 'any': 'all', 'all': 'any'}


def changes(node):
    """What can be changed at this node: [(description, change)]; change(node) gives what stands there then."""
    def put(**fields):
        def change(n):
            for name, value in fields.items():
                setattr(n, name, value)
            return n
        return change

    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARE:
        new = COMPARE[type(node.ops[0])]
        yield '%s becomes %s' % (SIGNS[type(node.ops[0])], SIGNS[new]), put(ops=[new()] + node.ops[1:])
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, (ast.Constant, ast.JoinedStr)) and isinstance(getattr(node.left, 'value', 0), str)):
            new = ARITHMETIC[type(node.op)]
            yield '%s becomes %s' % (SIGNS[type(node.op)], SIGNS[new]), put(op=new())
    elif isinstance(node, ast.BoolOp):
        new = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield '%s becomes %s' % (SIGNS[type(node.op)], SIGNS[new]), put(op=new())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield '%s goes' % ('not' if isinstance(node.op, ast.Not) else '-'), lambda n: n.operand
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield '%s becomes %s' % (node.value, not node.value), put(value=not node.value)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield '%r becomes %r' % (node.value, node.value + 1), put(value=node.value + 1)
    elif isinstance(node, ast.Return) and node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield 'nothing is returned', put(value=ast.Constant(None))
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield 'the condition is turned round', put(test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        yield '%s becomes %s' % (node.func.id, CALLS[node.func.id]), put(func=ast.Name(CALLS[node.func.id], ast.Load()))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield 'a call goes', lambda n: ast.Pass()
    elif isinstance(node, (ast.Break, ast.Continue)):
        yield '%s goes' % type(node).__name__.lower(), lambda n: ast.Pass()


class Change(ast.NodeTransformer):
    """Makes the change of the given number, in the order of a walk."""

    def __init__(self, wanted, number):
        self.wanted, self.number, self.seen, self.made, self.inside = wanted, number, 0, '', 0

    def visit(self, node):
        starts = isinstance(node, FUNCTIONS + (ast.ClassDef,)) and (not self.wanted or node.name in self.wanted)
        if starts:
            self.inside += 1
        if isinstance(node, FUNCTIONS):  # not its annotations, defaults and decorators
            node.body = [self.visit(n) for n in node.body]
            new = node
        elif self.inside:
            for text, change in changes(node):
                if self.seen == self.number:
                    self.made = 'line %d: %s' % (getattr(node, 'lineno', 0), text)
                    node = change(node)
                self.seen += 1
            new = self.generic_visit(node) if not (self.made and self.seen == self.number + 1 and isinstance(node, ast.Pass)) else node
        else:
            new = self.generic_visit(node)
        if starts:
            self.inside -= 1
        return new


def make_mutants(code, wanted, count):
    counter = Change(set(wanted), -1)
    counter.visit(ast.parse(code))
    original, out, seen = ast.unparse(ast.parse(code)), [], set()
    # Spread over the code; where a change makes no difference to the text, the next.
    for i in range(min(counter.seen, count * 2)):
        if len(out) == count:
            break
        number = i * counter.seen // min(counter.seen, count) if i < count else (i - count) * counter.seen // count + 1
        if number >= counter.seen:
            continue
        change = Change(set(wanted), number)
        try:
            text = ast.unparse(ast.fix_missing_locations(change.visit(ast.parse(code))))
        except (RecursionError, ValueError):
            continue
        if text != original and text not in seen and parsed(text):
            seen.add(text)
            out.append([change.made, text])
    return {'mutants': out}


# ---- tests out of answers ----

def blocks(text):
    """The code of an answer: its fenced blocks, what stands before a first closing fence, or all of it."""
    text = text.rpartition('</think>')[2][:40000]
    lines, out, block, fenced, any_fence = text.split('\n'), [], [], False, False
    for line in lines:
        if line.strip().startswith('```'):
            any_fence = True
            if fenced or (not out and any(l.strip() for l in block)):
                out.append('\n'.join(block))
            block, fenced = [], not fenced
            continue
        block.append(line)
    if not any_fence or fenced:
        out.append('\n'.join(block))
    return out


def longest_parse(block):
    """The most of a block's lines, from its beginning, that are Python; an answer may be cut short."""
    lines = textwrap.dedent(block).split('\n')[:400]
    end = len(lines)
    while end > 0:
        try:
            tree = ast.parse('\n'.join(lines[:end]))
            return (tree if tree.body else None), lines[end:]
        except SyntaxError as error:
            end = min(end - 1, (error.lineno or end) - 1)
        except (ValueError, RecursionError, MemoryError):
            end -= 1 + end // 4
    return None, lines


def trees(answer):
    for block in blocks(answer):
        rest = block.split('\n')
        for _ in range(8):  # a broken line ends a part; what is behind it may be good
            tree, rest = longest_parse('\n'.join(rest))
            if tree is not None:
                yield tree
            rest = rest[1:]
            while rest and not re.match(r'(assert|def |class |import |from |@)', rest[0]):
                rest = rest[1:]
            if not rest:
                break


UNITTEST = {'assertEqual': ast.Eq, 'assertEquals': ast.Eq, 'assertListEqual': ast.Eq, 'assertDictEqual': ast.Eq, 'assertSetEqual': ast.Eq, 'assertTupleEqual': ast.Eq,
            'assertSequenceEqual': ast.Eq, 'assertMultiLineEqual': ast.Eq, 'assertNotEqual': ast.NotEq, 'assertIn': ast.In, 'assertNotIn': ast.NotIn,
            'assertIs': ast.Is, 'assertIsNot': ast.IsNot, 'assertGreater': ast.Gt, 'assertGreaterEqual': ast.GtE, 'assertLess': ast.Lt, 'assertLessEqual': ast.LtE}


def name_of(text):
    return ast.parse(text, mode='eval').body


class FromUnittest(ast.NodeTransformer):
    """self.assertX(..) becomes an assert, self.assertRaises pytest.raises."""

    def visit_Expr(self, node):
        call = node.value
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == 'self'):
            return node
        kind, a = call.func.attr, call.args
        test = None
        if kind in UNITTEST and len(a) >= 2:
            test = ast.Compare(a[0], [UNITTEST[kind]()], [a[1]])
        elif kind in ('assertTrue', 'assertFalse') and a:
            test = a[0] if kind == 'assertTrue' else ast.UnaryOp(ast.Not(), a[0])
        elif kind in ('assertIsNone', 'assertIsNotNone') and a:
            test = ast.Compare(a[0], [ast.Is() if kind == 'assertIsNone' else ast.IsNot()], [ast.Constant(None)])
        elif kind == 'assertIsInstance' and len(a) >= 2:
            test = ast.Call(ast.Name('isinstance', ast.Load()), a[:2], [])
        elif kind == 'assertAlmostEqual' and len(a) >= 2:
            places = a[2].value if len(a) > 2 and isinstance(a[2], ast.Constant) and isinstance(a[2].value, int) else 7
            near = ast.Call(name_of('pytest.approx'), [a[1]], [ast.keyword('abs', ast.Constant(0.5 * 10 ** -places))])
            test = ast.Compare(a[0], [ast.Eq()], [near])
        elif kind == 'assertRaises' and len(a) >= 2:
            body = [ast.Expr(ast.Call(a[1], a[2:], call.keywords))]
            return ast.With([ast.withitem(ast.Call(name_of('pytest.raises'), [a[0]], []))], body)
        return ast.Assert(test) if test is not None else node

    def visit_With(self, node):
        self.generic_visit(node)
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == 'self' \
                    and call.func.attr == 'assertRaises':
                call.func = name_of('pytest.raises')
        return node


class Rename(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit_Name(self, node):
        if node.id == self.old:
            node.id = self.new
        return node


def is_raises(node):
    return isinstance(node, ast.With) and any('raises' in ast.dump(item.context_expr) for item in node.items)


def is_check(node):
    return isinstance(node, ast.Assert) or is_raises(node)


class Reader:
    def __init__(self, code, wanted, limit):
        tree = ast.parse(code)
        self.own = {n.name for n in definitions(tree)}
        self.names = self.own | {n for s in tree.body if isinstance(s, (ast.Assign, ast.AnnAssign)) for n in bound(s)}
        listed = [f['name'] for f in list_functions(code)['functions']]
        self.wanted = [w.partition('.')[0] for w in wanted] or listed or sorted(self.own)
        self.limit, self.tests, self.keys, self.dropped = limit, [], set(), {}

    def drop(self, why):
        self.dropped[why] = self.dropped.get(why, 0) + 1

    def read(self, answer):
        for tree in trees(answer):
            setup = []
            for node in tree.body:
                if isinstance(node, FUNCTIONS) and node.name.startswith('test'):
                    self.function(node, setup)
                elif isinstance(node, FUNCTIONS) and node.name == 'check' and len(node.args.args) == 1 and len(self.wanted) == 1:
                    node = Rename(node.args.args[0].arg, self.wanted[0]).visit(node)
                    node.args.args = []
                    self.function(node, setup)
                elif isinstance(node, ast.ClassDef) and any(isinstance(f, FUNCTIONS) and f.name.startswith('test') for f in node.body):
                    for f in node.body:
                        if isinstance(f, FUNCTIONS) and f.name.startswith('test'):
                            self.method(f, setup)
                elif is_check(node):
                    self.offer(setup, [], node)
                elif isinstance(node, SIMPLE + FUNCTIONS + (ast.ClassDef,)) and not bound(node) & self.own:
                    setup.append(node)

    def method(self, node, setup):
        node = FromUnittest().visit(node)
        if node.args.args and node.args.args[0].arg == 'self':
            node.args.args = node.args.args[1:]
        if calls(ast.Module(node.body, []), {'self'}):
            return self.drop('needs its class')
        self.function(node, setup)

    def function(self, node, setup):
        if isinstance(node, ast.AsyncFunctionDef) or node.args.args or node.args.kwonlyargs or node.decorator_list:
            return self.drop('has arguments')
        body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
        if not any(isinstance(n, ast.Assert) or is_raises(n) for statement in body for n in ast.walk(statement)):
            return self.drop('no assert')
        if all(isinstance(n, SIMPLE) or is_raises(n) for n in body):
            before = []
            for n in body:
                if is_check(n):
                    self.offer(setup, before, n)
                else:
                    before.append(n)
        else:
            self.offer(setup, body, None)

    def offer(self, setup, before, check):
        """A test of its own: what it needs of the statements before it, and the assert."""
        own = before + ([check] if check is not None else [])
        # What calls the code stays, whatever it binds: it may change an object that the assert looks at.
        wanted, kept = loaded([check] if check is not None else before), []
        for n in reversed(before):
            names = bound(n)
            if check is None or names & wanted or (loaded([n]) & wanted and not names) or isinstance(n, (ast.Delete,)):
                kept.append(n)
                wanted |= loaded([n])
        head, imports = [], []
        for n in reversed(setup):
            if bound(n) & wanted or (isinstance(n, ast.Expr) and loaded([n]) & wanted - self.own - BUILTINS):
                head.append(n)
                wanted |= loaded([n])
        statements = head[::-1] + (kept[::-1] if check is not None else before) + ([check] if check is not None else [])
        body = []
        for n in statements:
            if isinstance(n, (ast.Import, ast.ImportFrom)):
                modules = [n.module or ''] if isinstance(n, ast.ImportFrom) else [a.name for a in n.names]
                if all(m.partition('.')[0] in STANDARD | {'pytest'} for m in modules) and not getattr(n, 'level', 0):
                    imports.append(ast.unparse(n))
                continue  # another module: the code itself under a name of the model's, or one that is not there
            body.append(n)
        self.keep(body, imports)

    def keep(self, body, imports):
        if len(self.tests) >= self.limit:
            return self.drop('over the limit')
        nested = {n for s in body for n in bound(s)}
        known = {n for text in imports for n in bound(ast.parse(text).body[0])}
        unknown = loaded(body) - nested - self.names - BUILTINS - known
        for name in sorted(unknown):
            if name in STANDARD | {'pytest'}:
                imports.append('import ' + name)
            else:
                return self.drop('unknown name')
        if nested & self.names:
            return self.drop('redefines the code')
        why = self.asserts_nothing(body)
        if why:
            return self.drop(why)
        target = next((w for w in self.wanted if calls(ast.Module(body, []), {w})), None)
        if target is None:
            return self.drop('of something else')
        text = '\n'.join(ast.unparse(ast.fix_missing_locations(n)) for n in body)
        if len(text) > 4000:
            return self.drop('too long')
        if text in self.keys:
            return self.drop('duplicate')
        self.keys.add(text)
        self.tests.append({'target': target, 'imports': sorted(set(imports)), 'uses': sorted(loaded(body) & self.names - nested), 'body': text})

    def asserts_nothing(self, body):
        """What can be seen without running it; running it against stubs finds the rest."""
        tainted = set(self.own)
        for s in body:
            for n in ast.walk(s):
                if isinstance(n, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.comprehension, ast.NamedExpr)) and calls(n, tainted):
                    tainted |= bound(n)
                elif isinstance(n, ast.Call) and calls(n.func, self.own):  # it may change what it is given
                    tainted |= loaded(n.args)
        checks = [n for s in body for n in ast.walk(s) if isinstance(n, ast.Assert) or is_raises(n)]
        if not checks:
            return 'no assert'
        if not any(calls(n, tainted) for n in checks):
            return 'asserts nothing of the code'
        for n in checks:
            t = getattr(n, 'test', None)
            if isinstance(t, ast.Compare) and len(t.ops) == 1 and isinstance(t.ops[0], (ast.Eq, ast.Is, ast.LtE, ast.GtE)) and ast.dump(t.left) == ast.dump(t.comparators[0]):
                return 'compares with itself'
            if isinstance(t, ast.Tuple) and t.elts:
                return 'a tuple is always true'
        return ''


def read_tests(code, answers, wanted, limit):
    reader = Reader(code, wanted, limit)
    for answer in answers:
        try:
            reader.read(answer)
        except (RecursionError, ValueError, MemoryError):
            reader.drop('unreadable')
    return {'tests': reader.tests, 'dropped': reader.dropped}


def main():
    sys.setrecursionlimit(3000)
    request = json.load(sys.stdin)
    code = request['code']
    try:
        do = request['do']
        if do == 'functions':
            answer = list_functions(code)
        elif do == 'read':
            answer = read_tests(code, request['answers'], request['functions'], request['limit'])
        elif do == 'stubs':
            answer = make_stubs(code)
        else:
            answer = make_mutants(code, [f.partition('.')[0] for f in request['functions']], request['count'])
    except SyntaxError as error:
        answer = {'error': 'line %s: %s' % (error.lineno, error.msg)}
    except (ValueError, RecursionError, MemoryError) as error:
        answer = {'error': '%s: %s' % (type(error).__name__, error)}
    sys.stdout.write(json.dumps(answer))


main()
)py";

}  // namespace r1::tasks
