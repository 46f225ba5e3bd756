// The trusted half of an assert test, in Python. See python_source.h.
#include "r1/verify/judge/python_source.h"

namespace r1::verify::judge {

// [tester, nonce, kind, context, code, statements, files, module, entry point, indices or None]; answers, all with the nonce:
//   [plan, nonce, [names]]        before anything of the submission is touched: from a parse of the test code alone
//   [begin, nonce, index]  [end, nonce, index, verdict, detail]      verdict: pass, fail, error, skip
//   [rpc, request bytes]          to be handed to the solution; the next frame that comes is its answer
//   [fault, nonce, text]          the solution's answer broke the protocol; nothing more comes
//   [finished, nonce]
const char* const kTesterPython = R"py(

# ---- the trusted half of an assert test ----

class Proxy:
    """Stands for an object of the submission; what it is asked goes there. Two rules keep an object from talking its way through an assert:
    - Plain data never equals it, whatever its __eq__ says; only where its class derives from a plain type is the value that was sent compared.
    - It is doubtful unless the test code itself named its class (or it is a function, and is called): then nothing it answers with a bool is
      taken, neither from it nor from what its attributes and methods give, and there is no arithmetic with it. `assert f(x) > 0`, `assert f(x).startswith('a')`, `assert f(x)`
      and `abs(f(x) - 1) < 1e-6` want f's result to be data."""
    __slots__ = ('_remote', '_number', '_type', '_plain', '_kind', '_doubtful')

    def __init__(self, *values):
        for name, value in zip(Proxy.__slots__, values):
            object.__setattr__(self, name, value)

    def __getattr__(self, name):
        return self._remote.ask('get', self, name)

    def __setattr__(self, name, value):
        self._remote.ask('set', self, name, value)

    def __delattr__(self, name):
        self._remote.ask('delete', self, name)

    def __call__(self, *arguments, **keywords):
        return self._remote.call(self, arguments, keywords)

    def __eq__(self, other):
        if not isinstance(other, Proxy):
            return self._plain is not None and other is not None and self._plain[0] == other
        return other._number == self._number or self._remote.equal(self, other)

    def __ne__(self, other):
        return not self == other

    def __bool__(self):
        return self._kind == 'class' or self._kind == 'function' or self._remote.ask('bool', self) is True

    def __enter__(self):
        return self._remote.ask('enter', self)

    def __exit__(self, kind, error, trace):
        self._remote.ask('exit', self)
        return False

    def __instancecheck__(self, x):
        return isinstance(x, Proxy) and self._remote.ask('isinstance', x, self) is True

    def __subclasscheck__(self, x):
        return isinstance(x, Proxy) and self._remote.ask('issubclass', x, self) is True

    def __format__(self, how):
        return text_of(self._remote.ask('format', self, how))

    def __reduce_ex__(self, protocol):
        raise TypeError('an object of the submission cannot be copied here')


ARITHMETIC = set('add sub mul truediv floordiv mod pow matmul lshift rshift xor neg pos invert abs round divmod radd rsub rmul rtruediv iadd isub imul and_ or_'.split())


def text_of(x):
    if type(x) is not str:
        raise TypeError('expected text of the submission, got ' + type(x).__name__)
    return x


def forward(method, operation, check=None):
    def ask(self, *operands):
        if check is None:
            return self._remote.ask(operation, self, *operands)
        value = self._remote.ask(operation, self, *operands)
        if type(value) is not check:
            raise TypeError('%s of the submission gave %s' % (method, type(value).__name__))
        return value
    setattr(Proxy, method, ask)


for _name in 'lt le gt ge add sub mul truediv floordiv mod pow matmul lshift rshift xor neg pos invert abs getitem round reversed divmod radd rsub rmul rtruediv'.split():
    forward('__%s__' % _name, _name)
for _name in 'iadd isub imul setitem delitem iter next'.split():
    forward('__%s__' % _name, _name)
for _name, _type in (('len', int), ('str', str), ('repr', str), ('hash', int), ('int', int), ('float', float), ('complex', complex), ('index', int), ('contains', bool),
                     ('dir', list)):
    forward('__%s__' % _name, _name, _type)
forward('__and__', 'and_')
forward('__or__', 'or_')


class RemoteModule(type(sys)):
    """The submission's module, as the test code imports it."""

    def __getattr__(self, name):
        if name == '__all__':
            return sorted(self.__dict__['_remote'].offered())
        if name.startswith('__') or name == '_remote':
            raise AttributeError(name)
        return self.__dict__['_remote'].attribute(name)

    def __setattr__(self, name, value):
        if name.startswith('__') or name == '_remote':
            super().__setattr__(name, value)
        else:
            self.__dict__['_remote'].ask('set', self.__dict__['_remote'].root, name, value)

    def __delattr__(self, name):
        self.__dict__['_remote'].ask('delete', self.__dict__['_remote'].root, name)


class Remote:
    def __init__(self, nonce):
        self.nonce = nonce
        self.functions, self.numbers, self.classes, self.bases = [], {}, {}, builtin_exceptions()
        self.wanted = set()
        self.named = set()  # numbers of the classes that the test code named
        self.root = Proxy(self, 0, 'module', None, 'module', False)

    def fault(self, text):
        send('fault', self.nonce, text)
        posix._exit(0)

    # -- values --

    def other(self, out, x, depth):
        t = type(x)
        if t is Proxy:
            tag(out, 'back', x._number, self.other, depth)
        elif t is RemoteModule:
            tag(out, 'back', 0, self.other, depth)
        elif isinstance(x, type) and issubclass(x, BaseException):
            number = next((n for n, c in self.classes.items() if c is x), None)
            if number is not None:
                tag(out, 'back', number, self.other, depth)
            elif self.bases.get(x.__name__) is x:
                tag(out, 'exception', x.__name__, self.other, depth)
            else:
                raise TypeError('a class of the test cannot be given to the submission')
        elif encode_known(out, x, self.other, depth):
            pass
        elif callable(x) and not isinstance(x, type):
            number = self.numbers.setdefault(id(x), len(self.functions))
            if number == len(self.functions):
                self.functions.append(x)
            tag(out, 'function', number, self.other, depth)
        elif isinstance(x, BaseException) and self.bases.get(t.__name__) is t:
            tag(out, 'back', self.ask('call', t, list(x.args), {})._number, self.other, depth)
        else:
            for base in PLAIN:
                if issubclass(t, base):
                    encode_into(out, base(x), self.other, depth)
                    return
            if hasattr(t, '__next__'):
                encode_into(out, list(x), self.other, depth)
                return
            raise TypeError('an object of class %s of the test cannot be given to the submission' % t.__name__)

    def known(self, name, payload):
        if name == 'object' and type(payload) is list and len(payload) == 6:
            return self.proxy(*payload)
        if name == 'class' and type(payload) is list and len(payload) == 3:
            return self.exception_class(*payload)
        if name == 'exception' and type(payload) is str and payload in self.bases:
            return self.bases[payload]
        if name == 'back' and type(payload) is int and 0 <= payload < len(self.functions):
            return self.functions[payload]
        if name == 'bytearray' and type(payload) is not bytes:
            raise Broken('a wrong bytearray')
        value = decode_known(name, payload)
        if value is None:
            raise Broken('unknown object')
        return value

    def proxy(self, number, type_name, has_plain, plain, kind, classes):
        if type(number) is not int or type(type_name) is not str or type(kind) is not str or type(classes) is not list:
            raise Broken('a wrong object')
        doubtful = kind not in ('function', 'class') and not any(type(c) is int and c in self.named for c in classes)
        return Proxy(self, number, type_name, (plain,) if has_plain is True and type(plain) in PLAIN else None, kind, doubtful)

    def exception_class(self, number, name, base):
        if type(number) is not int or type(name) is not str or type(base) is not str or base not in self.bases:
            raise Broken('a wrong exception class')
        if number not in self.classes:
            self.classes[number] = type(name, (self.bases[base],), {})
        return self.classes[number]

    # -- requests --

    def ask(self, *request):
        data = encode(list(request), self.other)
        while True:
            send('rpc', data)
            answer = receive_bytes()
            try:
                answer = decode(answer, self.known)
                kind = answer[0] if type(answer) is list and answer else ''
                if kind == 'ok' and len(answer) == 4 and type(answer[2]) is str and type(answer[3]) is list:
                    break
                if kind == 'raise' and len(answer) == 8:
                    break
                if kind != 'callback' or len(answer) != 4 or type(answer[1]) is not int or not 0 <= answer[1] < len(self.functions) \
                        or type(answer[2]) is not list or type(answer[3]) is not dict:
                    raise Broken('unknown answer')
            except Exception as error:
                self.fault('%s: %s' % (type(error).__name__, describe(error)))
            data = self.serve_callback(answer)
        if kind != 'ok':
            self.throw(answer)
        return self.believable(request, self.accept(request, answer))

    def believable(self, request, value):
        """Rule two of Proxy."""
        asked = request[1] if len(request) > 1 and type(request[1]) is Proxy else self.root
        attribute = request[0] == 'get' and asked._kind == 'function'
        if (asked._doubtful or attribute) and request[0] != 'next':
            if type(value) is bool or request[0] in ARITHMETIC:
                raise TypeError('an object of class %s of the submission has no say here: its class is not named by the test' % asked._type)
            if type(value) is Proxy:
                object.__setattr__(value, '_doubtful', True)
        return value

    def equal(self, a, b):
        """Both are the submission's; its __eq__ says, unless that calls them equal to anything."""
        import random
        probes = [random.getrandbits(62), 'probe %d' % random.getrandbits(62), b]
        random.shuffle(probes)
        answers = [(probe is b, self.ask('eq', a, probe) is True) for probe in probes]
        if any(said for real, said in answers if not real):
            raise Failed('an object of the submission calls itself equal to anything')
        return any(said for real, said in answers if real)

    def serve_callback(self, answer):
        try:
            return encode(['ok', self.functions[answer[1]](*answer[2], **answer[3])], self.other)
        except Exception as error:
            name = type(error).__name__
            return encode(['raise', name if self.bases.get(name) is type(error) else 'RuntimeError', describe(error)], self.other)

    def print_here(self, text):
        if type(text) is str and text:
            sys.stdout.write(text)

    def accept(self, request, answer):
        self.print_here(answer[2])
        if request[0] == 'call':
            for change in answer[3]:
                self.apply(request[2], change)
        return answer[1]

    def apply(self, arguments, change):
        """The submission changed an argument in place: so does the test's own object."""
        if type(change) is not list or len(change) != 2 or type(change[0]) is not int or not 0 <= change[0] < len(arguments):
            self.fault('a wrong change')
        ours, new = arguments[change[0]], change[1]
        if type(ours) is not type(new):
            self.fault('a change of another type')
        if type(ours) is list or type(ours) is bytearray:
            ours[:] = new
        elif type(ours) is dict or type(ours) is set:
            ours.clear()
            ours.update(new)

    def throw(self, answer):
        _, number, name, base, text, arguments, instance, printed = answer
        self.print_here(printed)
        if type(name) is not str or type(text) is not str or base not in self.bases:
            self.fault('a wrong exception')
        cls = self.bases[base] if number == -1 else self.exception_class(number, name, base)
        try:
            error = cls(*arguments) if type(arguments) is list else cls(text)
        except Exception:
            error = RuntimeError('%s: %s' % (name, text))
        if number != -1 and type(instance) is int:
            remote = Proxy(self, instance, name, None, 'object', number not in self.named)
            cls.__getattr__ = lambda self, attribute: getattr(remote, attribute)
            cls.__str__ = lambda self: text
        raise error

    def call(self, function, arguments, keywords):
        return self.ask('call', function, list(arguments), dict(keywords))

    def offered(self):
        """Names of the submission that test code may get without naming where from: only those that it uses and that nothing else binds, so
        that no abs, isinstance or pytest of the submission's own slips in."""
        return {name for name in self.ask('names') if type(name) is str and name in self.wanted}

    def attribute(self, name):
        value = self.ask('get', self.root, name)
        if type(value) is Proxy and value._kind == 'class':
            self.named.add(value._number)
        elif isinstance(value, type):
            self.named |= {n for n, c in self.classes.items() if c is value}
        return value


# ---- pytest's words, as far as test files of data sets use them ----

class Skipped(BaseException):
    pass


class Failed(AssertionError):
    pass


class Raised:
    def __init__(self):
        self.value = self.type = None

    def __str__(self):
        return str(self.value)

    def match(self, pattern):
        import re
        if not re.search(pattern, str(self.value)):
            raise Failed('%r does not match %r' % (pattern, str(self.value)))
        return True


class Raises:
    def __init__(self, expected, match=None):
        self.expected, self.match, self.info = expected, match, Raised()

    def __enter__(self):
        return self.info

    def __exit__(self, kind, error, trace):
        if error is None:
            raise Failed('did not raise %s' % (self.expected,))
        if not issubclass(kind, self.expected):
            return False
        self.info.value, self.info.type = error, kind
        return self.match is None or self.info.match(self.match)


def raises(expected, *call, match=None, **keywords):
    if not call:
        return Raises(expected, match)
    with Raises(expected, match) as info:
        call[0](*call[1:], **keywords)
    return info


class Approx:
    def __init__(self, expected, rel=None, abs=None, nan_ok=False):
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def close(self, expected, got):
        if isinstance(expected, (list, tuple)):
            return type(got) in (list, tuple) and len(got) == len(expected) and all(self.close(e, g) for e, g in zip(expected, got))
        if isinstance(expected, dict):
            return type(got) is dict and set(got) == set(expected) and all(self.close(expected[k], got[k]) for k in expected)
        if isinstance(expected, (int, float, complex)) and not isinstance(expected, bool) and isinstance(got, (int, float, complex)):
            if expected == got:
                return True
            if expected != expected:
                return self.nan_ok and got != got
            if abs(expected) == float('inf') or abs(got) == float('inf') or got != got:
                return False
            absolute = 1e-12 if self.abs is None else self.abs
            relative = (1e-6 if self.rel is None else self.rel) * abs(expected) if self.rel is not None or self.abs is None else 0
            return abs(expected - got) <= max(absolute, relative)
        try:
            return abs(float(expected) - float(got)) <= max(1e-12 if self.abs is None else self.abs, (1e-6 if self.rel is None else self.rel) * abs(float(expected)))
        except Exception:
            return expected == got

    def __eq__(self, got):
        return self.close(self.expected, got)

    def __ne__(self, got):
        return not self == got

    def __repr__(self):
        return 'approx(%r)' % (self.expected,)


def skip(reason='', **_):
    raise Skipped(reason)


def fail_test(reason='', **_):
    raise Failed(reason)


class Mark:
    def __init__(self, name, arguments=(), keywords=None):
        self.name, self.arguments, self.keywords = name, arguments, keywords or {}

    def __call__(self, *arguments, **keywords):
        if len(arguments) == 1 and not keywords and callable(arguments[0]) and self.name != 'parametrize':
            return self.put_on(arguments[0])
        return Mark(self.name, arguments, keywords).put_on

    def put_on(self, target):
        target.__dict__.get('_marks') is None and setattr(target, '_marks', [])
        target._marks = target._marks + [self]
        return target


class Marks:
    def __getattr__(self, name):
        return Mark(name)


class Parameters(tuple):
    pass


def param(*values, **_):
    return Parameters(values)


def fixture(function=None, **keywords):
    def put(f):
        f._fixture = keywords
        return f
    return put(function) if callable(function) else put


class Warns:
    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return []

    def __exit__(self, *_):
        return False


def pytest_module():
    module = type(sys)('pytest')
    module.raises, module.approx, module.skip, module.fail, module.mark, module.param, module.fixture = raises, Approx, skip, fail_test, Marks(), param, fixture
    module.warns, module.importorskip, module.main = Warns, __import__, lambda *a, **k: 0
    module.skip.Exception, module.fail.Exception = Skipped, Failed
    return module


class Captured(tuple):
    out = property(lambda self: self[0])
    err = property(lambda self: self[1])


class Capsys:
    def __init__(self):
        import io
        self.before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()

    def readouterr(self):
        out = Captured((sys.stdout.getvalue(), sys.stderr.getvalue()))
        for stream in (sys.stdout, sys.stderr):
            stream.seek(0)
            stream.truncate(0)
        return out

    def end(self):
        sys.stdout, sys.stderr = self.before


class MonkeyPatch:
    def __init__(self):
        self.undos = []

    def setattr(self, target, name, value=None, raising=True):
        old = getattr(target, name)
        setattr(target, name, value)
        self.undos.append(lambda: setattr(target, name, old))

    def setitem(self, target, key, value):
        had, old = key in target, target.get(key)
        target[key] = value
        self.undos.append(lambda: target.__setitem__(key, old) if had else target.pop(key, None))

    def end(self):
        for undo in reversed(self.undos):
            undo()


# ---- running tests ----

class Files:
    """Imports between the test files."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        if name + '.py' in self.sources:
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, self)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__file__ = module.__name__ + '.py'
        exec(compile(self.sources[module.__file__], module.__file__, 'exec', dont_inherit=True), module.__dict__)


def is_test_file(name):
    base = name.rpartition('/')[2]
    return base.endswith('.py') and (base.startswith('test') or base.endswith('_test.py'))


def planned_tests(name, source):
    """Names of the tests of a file, from its text alone: [(class or '', function)]. A file without tests is one test: that it runs."""
    import ast
    out = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith('test'):
            out.append(('', node.name))
        elif isinstance(node, ast.ClassDef):
            bases = [b.attr if isinstance(b, ast.Attribute) else getattr(b, 'id', '') for b in node.bases]
            if node.name.startswith('Test') or any(b.endswith('TestCase') for b in bases):
                out += [(node.name, f.name) for f in node.body if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) and f.name.startswith('test')]
    unique = list(dict.fromkeys(out))
    return unique or [('', '')]


def free_names(sources):
    """Names that the sources use and neither bind nor get from Python itself."""
    import ast, builtins
    used, bound = set(), set(dir(builtins))
    for source in sources:
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                bound.add(node.name)
            elif isinstance(node, ast.alias):
                bound.add((node.asname or node.name).partition('.')[0])
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
    return {name for name in used - bound if not name.startswith('_')}


def cases_of(function, owner=None):
    """The argument sets of parametrize marks; [{}] without."""
    cases = [{}]
    for mark in getattr(owner, '_marks', []) + getattr(function, '_marks', []):
        if mark.name != 'parametrize':
            continue
        names, values = (list(mark.arguments) + [mark.keywords.get('argvalues')])[:2]
        names = [n.strip() for n in names.split(',') if n.strip()] if isinstance(names, str) else list(names)
        rows = [tuple(v) if isinstance(v, Parameters) else (v,) if len(names) == 1 else tuple(v) for v in values]
        cases = [dict(case, **dict(zip(names, row))) for row in rows for case in cases]
    return cases


def skip_marks(*targets):
    for target in targets:
        for mark in getattr(target, '_marks', []):
            if mark.name == 'skip' or mark.name == 'skipif' and mark.arguments and mark.arguments[0]:
                raise Skipped(mark.name)


class Fixtures:
    def __init__(self, scopes):
        self.scopes, self.values, self.ends = scopes, {}, []

    def find(self, name):
        for scope in self.scopes:
            f = getattr(scope, name, None) if not isinstance(scope, dict) else scope.get(name)
            if hasattr(f, '_fixture'):
                return f
        for scope in self.scopes:
            for f in (scope if isinstance(scope, dict) else {n: getattr(scope, n) for n in dir(scope)}).values():
                if not isinstance(f, Proxy) and getattr(f, '_fixture', {}).get('name') == name:
                    return f
        return None

    def get(self, name):
        if name not in self.values:
            if name in ('capsys', 'monkeypatch'):
                self.values[name] = Capsys() if name == 'capsys' else MonkeyPatch()
                self.ends.append(self.values[name].end)
            else:
                function = self.find(name)
                if function is None:
                    raise LookupError('fixture %r is not known to this runner' % name)
                value = function(**self.arguments(function))
                if hasattr(value, '__next__') and not isinstance(value, Proxy):
                    generator, value = value, next(value)
                    self.ends.append(lambda: next(generator, None))
                self.values[name] = value
        return self.values[name]

    def arguments(self, function, given=()):
        code = getattr(function, '__func__', function).__code__
        names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
        names = names[1:] if hasattr(function, '__self__') else names
        optional = len(function.__defaults__ or ()) if hasattr(function, '__defaults__') else 0
        wanted = names[:len(names) - optional] if optional else names
        return {n: given[n] if n in given else self.get(n) for n in names if n in given or n in wanted}

    def autouse(self):
        for scope in self.scopes:
            for name, f in list((scope if isinstance(scope, dict) else {n: getattr(scope, n) for n in dir(scope)}).items()):
                if not isinstance(f, Proxy) and getattr(f, '_fixture', {}).get('autouse'):
                    self.get(name)

    def end(self):
        for end in reversed(self.ends):
            end()


def finish_coroutine(value):
    if type(value).__name__ == 'coroutine':
        import asyncio
        asyncio.run(value)


class Tester:
    def __init__(self, nonce, kind, context, code, statements, files, module, entry, indices):
        self.nonce, self.kind, self.context, self.code, self.statements = nonce, kind, context, code, statements
        self.files, self.module, self.entry, self.indices = dict(files), module, entry, indices
        self.remote = Remote(nonce)
        self.tests = []

    def plan(self):
        if self.kind == 'check':
            return ['check']
        if self.kind == 'asserts':
            return ['assert %d' % (i + 1) for i in range(len(self.statements))]
        names = [n for n in self.files if is_test_file(n)] or list(self.files)
        for name in names:
            self.tests += [(name, owner, function) for owner, function in planned_tests(name, self.files[name])]
        return ['::'.join(part for part in test if part) for test in self.tests]

    def run(self):
        silence()
        try:
            names = self.plan()
        except Exception as error:
            send('fault', self.nonce, 'the test code: %s: %s' % (type(error).__name__, describe(error)))
            return
        send('plan', self.nonce, names)
        self.install()
        for i in range(len(names)) if self.indices is None else self.indices:
            send('begin', self.nonce, i)
            send('end', self.nonce, i, *self.verdict(i))
        send('finished', self.nonce)

    def verdict(self, index):
        try:
            {'check': self.check, 'asserts': self.statement, 'unit': self.unit}[self.kind](index)
        except Skipped as reason:
            return 'skip', describe(reason)
        except AssertionError as error:
            return 'fail', self.place(error) + describe(error)
        except BaseException as error:
            return 'error', '%s: %s' % (type(error).__name__, describe(error))
        return 'pass', ''

    def place(self, error):
        """The line of test code that failed."""
        sources, found = {'check.py': self.code, **self.files}, ''
        trace = error.__traceback__
        while trace:
            lines = sources.get(trace.tb_frame.f_code.co_filename, '').split('\n')
            if 0 < trace.tb_lineno <= len(lines) and lines != ['']:
                found = 'line %d: %s ' % (trace.tb_lineno, lines[trace.tb_lineno - 1].strip()[:300])
            trace = trace.tb_next
        return found

    def install(self):
        """`import <module>` in test code finds the submission; pytest is the words above."""
        parts = self.module.split('.')
        for i in range(1, len(parts)):
            package = type(sys)('.'.join(parts[:i]))
            package.__path__ = []
            sys.modules[package.__name__] = package
        module = RemoteModule(self.module)
        module._remote = self.remote
        sys.modules[self.module] = module
        if len(parts) > 1:
            setattr(sys.modules['.'.join(parts[:-1])], parts[-1], module)
        sys.modules['pytest'] = pytest_module()
        self.remote.wanted = free_names([self.context, self.code, *self.statements, *self.files.values()])
        if self.kind == 'asserts' and self.entry:
            self.remote.wanted.add(self.entry)
        sys.meta_path.insert(0, Files(self.files))

    def namespace(self):
        module = fresh_module('__tests__')
        exec(compile(self.context, 'context.py', 'exec', dont_inherit=True), module.__dict__)
        return module.__dict__

    def check(self, _):
        space = self.namespace()
        space[self.entry] = candidate = self.remote.attribute(self.entry)  # some tests call it by its name
        exec(compile(self.code, 'check.py', 'exec', dont_inherit=True), space)
        space['check'](candidate)

    def statement(self, index):
        space = self.namespace()
        for name in self.remote.offered():
            space[name] = self.remote.attribute(name)
        exec(compile(self.code, 'setup.py', 'exec', dont_inherit=True), space)
        exec(compile(self.statements[index], 'assert.py', 'exec', dont_inherit=True), space)

    def unit(self, index):
        file, owner, name = self.tests[index]
        home = file[:-3].replace('/', '.')
        if home not in sys.modules:
            module = fresh_module(home)
            try:
                exec(compile(self.files[file], file, 'exec', dont_inherit=True), module.__dict__)
            except BaseException:
                del sys.modules[home]
                raise
        module = sys.modules[home]
        if not name:
            return
        if not owner:
            self.function(module, getattr(module, name), None)
            return
        cls = getattr(module, owner)
        unittest = sys.modules.get('unittest')
        if unittest and isinstance(cls, type) and issubclass(cls, unittest.TestCase):
            self.test_case(cls, name)
        else:
            self.function(module, getattr(cls, name), cls, name)

    def function(self, module, function, cls, name=''):
        """A test function in all its cases; each must pass, and there must be one."""
        skip_marks(function, cls)
        cases = cases_of(function, cls)
        if not cases:
            raise Skipped('no parameters')
        for case in cases:
            instance = cls() if cls else None
            fixtures = Fixtures([s for s in (instance, vars(module)) if s is not None])
            try:
                if instance is not None and hasattr(instance, 'setup_method'):
                    instance.setup_method(*[None] * (instance.setup_method.__code__.co_argcount - 1))
                fixtures.autouse()
                target = getattr(instance, name) if cls else function
                finish_coroutine(target(**fixtures.arguments(target, case)))
                if instance is not None and hasattr(instance, 'teardown_method'):
                    instance.teardown_method(*[None] * (instance.teardown_method.__code__.co_argcount - 1))
            finally:
                fixtures.end()

    def test_case(self, cls, name):
        import unittest
        result = unittest.TestResult()
        unittest.TestSuite([cls(name)]).run(result)
        if result.skipped:
            raise Skipped(result.skipped[0][1])
        wrong = result.failures + result.errors
        if result.failures:
            raise AssertionError(result.failures[0][1][-1500:])
        if wrong or result.unexpectedSuccesses or result.testsRun != 1:
            raise RuntimeError(wrong[0][1][-1500:] if wrong else 'unexpected success')
)py";

}  // namespace r1::verify::judge
