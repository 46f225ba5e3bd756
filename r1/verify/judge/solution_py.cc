// The untrusted half of an assert test, in Python. See python_source.h.
#include "r1/verify/judge/python_source.h"

namespace r1::verify::judge {

// Requests: [op name, operands..] and what they answer: [ok, value, printed text, [[argument, new value]..]] |
// [raise, class id, class name, nearest builtin base, text, arguments, id of the exception, printed text].
// In between, while it works on a call: [callback, id, arguments, keywords], which the tester answers with [ok, value] | [raise, name,
// text]. Objects that are no plain data stay here; the tester gets x"object" with their number, and sends x"back" with it.
const char* const kSolutionPython = R"py(

# ---- the untrusted half of an assert test ----

BUILTIN_TYPES = {t.__name__: t for t in (int, float, str, bytes, bool, list, tuple, dict, set, frozenset, complex, object, type, range, bytearray, slice)}
FUNCTIONS = ('function', 'builtin_function_or_method', 'method', 'partial', '_lru_cache_wrapper', 'coroutine')
PLAIN = (bool, int, float, str, bytes, list, tuple, set, frozenset, dict, complex)


def builtin_exceptions():
    import builtins
    return {n: c for n, c in vars(builtins).items() if isinstance(c, type) and issubclass(c, BaseException) and c.__name__ == n}


def encode_known(out, x, other, depth):
    """The values of the standard library that both sides rebuild from plain data. False: not one of them."""
    t = type(x)
    name = t.__name__
    home = getattr(t, '__module__', '')
    if t is bytearray:
        tag(out, 'bytearray', bytes(x), other, depth)
    elif t is range:
        tag(out, 'range', [x.start, x.stop, x.step], other, depth)
    elif t is slice:
        tag(out, 'slice', [x.start, x.stop, x.step], other, depth)
    elif x is Ellipsis or x is NotImplemented:
        tag(out, 'constant', repr(x), other, depth)
    elif t is type and BUILTIN_TYPES.get(x.__name__) is x:
        tag(out, 'type', x.__name__, other, depth)
    elif home == 'decimal' and name == 'Decimal':
        tag(out, 'Decimal', str(x), other, depth)
    elif home == 'fractions' and name == 'Fraction':
        tag(out, 'Fraction', [x.numerator, x.denominator], other, depth)
    elif home == 'collections' and name == 'deque':
        tag(out, 'deque', list(x), other, depth)
    elif home == 'datetime' and name in ('date', 'datetime', 'time') and getattr(x, 'tzinfo', None) is None:
        tag(out, name, x.isoformat(), other, depth)
    elif home == 'datetime' and name == 'timedelta':
        tag(out, 'timedelta', [x.days, x.seconds, x.microseconds], other, depth)
    else:
        return False
    return True


def decode_known(name, payload):
    """None where the name is not known."""
    if name == 'bytearray':
        return bytearray(payload)
    if name == 'range':
        return range(*payload)
    if name == 'slice':
        return slice(*payload)
    if name == 'constant':
        return {'Ellipsis': Ellipsis, 'NotImplemented': NotImplemented}[payload]
    if name == 'type':
        return BUILTIN_TYPES[payload]
    if name == 'Decimal':
        from decimal import Decimal
        return Decimal(payload)
    if name == 'Fraction':
        from fractions import Fraction
        return Fraction(*payload)
    if name == 'deque':
        from collections import deque
        return deque(payload)
    if name in ('date', 'datetime', 'time'):
        import datetime
        return getattr(datetime, name).fromisoformat(payload)
    if name == 'timedelta':
        from datetime import timedelta
        return timedelta(*payload)
    return None


class Solution:
    def __init__(self, module):
        import _operator, io
        self.module, self.objects, self.ids = module, [], {}
        self.exceptions = builtin_exceptions()
        self.keep(module)
        self.operations = {name: getattr(_operator, name) for name in (
            'eq ne lt le gt ge add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift neg pos invert abs getitem setitem delitem '
            'contains index iadd isub imul concat').split()}
        self.operations.update(
            call=self.call, get=getattr, set=setattr, delete=delattr, names=self.names, len=len, iter=iter, next=next, str=str, repr=repr, bool=bool,
            hash=hash, int=int, float=float, complex=complex, round=round, format=format, reversed=reversed, dir=dir, isinstance=isinstance,
            issubclass=issubclass, enter=lambda x: type(x).__enter__(x), exit=lambda x, *rest: type(x).__exit__(x, None, None, None), divmod=divmod,
            radd=lambda x, y: y + x, rsub=lambda x, y: y - x, rmul=lambda x, y: y * x, rtruediv=lambda x, y: y / x)
        sys.stdout = self.printed = io.StringIO()
        sys.stdin = io.StringIO('')

    def keep(self, x):
        number = self.ids.get(id(x))
        if number is None:
            number = self.ids[id(x)] = len(self.objects)
            self.objects.append(x)
        return number

    def exception_base(self, cls):
        for c in type.mro(cls):
            if self.exceptions.get(c.__name__) is c:
                return c.__name__
        return 'Exception'

    def other(self, out, x, depth):
        if type(x) is Borrowed:
            tag(out, 'back', x.number, self.other, depth)
            return
        if encode_known(out, x, self.other, depth):
            return
        t = type(x)
        if issubclass(t, type) and issubclass(x, BaseException):
            if self.exceptions.get(x.__name__) is x:
                tag(out, 'exception', x.__name__, self.other, depth)
            else:
                tag(out, 'class', [self.keep(x), x.__name__, self.exception_base(x)], self.other, depth)
            return
        plain = [False, None]
        for base in PLAIN:
            if issubclass(t, base):
                plain = [True, base(x) if base is not dict else dict(dict.items(x))]
                break
        kind = 'class' if issubclass(t, type) else 'function' if t.__name__ in FUNCTIONS else 'object'
        classes = [self.ids[id(c)] for c in type.mro(t) if id(c) in self.ids] if kind == 'object' else []
        tag(out, 'object', [self.keep(x), t.__name__, plain[0], plain[1], kind, classes], self.other, depth)

    def known(self, name, payload):
        if name == 'back':
            return self.objects[payload]
        if name == 'function':
            return Borrowed(self, payload)
        if name == 'exception':
            return self.exceptions[payload]
        return decode_known(name, payload)

    def names(self):
        public = getattr(self.module, '__all__', None)
        return [n for n in (public if public is not None else vars(self.module)) if type(n) is str and (public is not None or not n.startswith('_'))]

    def call(self, function, arguments, keywords):
        return function(*arguments, **keywords)

    def take_printed(self):
        text = self.printed.getvalue()[:1 << 20]
        if text:
            self.printed.seek(0)
            self.printed.truncate(0)
        return text

    def changed(self, decoded, before):
        """Arguments that the call changed in place."""
        out = []
        for i, argument in enumerate(decoded):
            if type(argument) in (list, dict, set, bytearray):
                now = encode(argument, self.other)
                if now != before[i]:
                    out.append([i, argument])
        return out

    def answer(self, request):
        operation, *operands = request
        before = []
        if operation == 'call':
            before = [encode(a, self.other) if type(a) in (list, dict, set, bytearray) else b'' for a in operands[1]]
        try:
            value = self.operations[operation](*operands)
            changed = self.changed(operands[1], before) if operation == 'call' else []
            return encode(['ok', value, self.take_printed(), changed], self.other)
        except BaseException as error:
            cls = type(error)
            known = self.exceptions.get(cls.__name__) is cls
            try:
                arguments = encode(list(error.args), no_other)
                arguments = decode(arguments)
            except Exception:
                arguments = None
            return encode(['raise', -1 if known else self.keep(cls), cls.__name__, self.exception_base(cls), describe(error), arguments, self.keep(error),
                           self.take_printed()], self.other)

    def callback(self, number, arguments, keywords):
        send_bytes(encode(['callback', number, arguments, keywords], self.other))
        answer = self.serve(until_answer=True)
        if answer[0] == 'ok':
            return answer[1]
        raise self.exceptions.get(answer[1], RuntimeError)(answer[2])

    def serve(self, until_answer=False):
        if not until_answer:
            send('ok')
        while True:
            request = decode(receive_bytes(), self.known)
            if request[0] in ('ok', 'raise'):
                return request
            send_bytes(self.answer(request))


class Borrowed:
    """A function of the tester: calling it asks the tester."""

    def __init__(self, server, number):
        self.server, self.number = server, number

    def __call__(self, *arguments, **keywords):
        return self.server.callback(self.number, list(arguments), keywords)
)py";

}  // namespace r1::verify::judge
