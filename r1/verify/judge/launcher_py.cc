// The launcher's wire form and process handling, in Python. See python_source.h.
#include "r1/verify/judge/python_source.h"

namespace r1::verify::judge {

const char* const kLauncherPython = R"py(
import sys, posix, time, select

CHANNEL = 3
DEPTH = 400
SMALL = 1 << 63
LONGEST = 16 << 20


class Broken(Exception):
    pass


# ---- wire form (value.h) ----

def encode_into(out, x, other, depth):
    if depth > DEPTH:
        raise Broken('a value is nested too deeply')
    t = type(x)
    if x is None:
        out(b'N')
    elif t is bool:
        out(b'T' if x else b'F')
    elif t is int:
        out(b'i%d;' % x if -SMALL <= x < SMALL else b'I' + ('%x' % x).encode() + b';')
    elif t is float:
        out(b'f' + x.hex().encode() + b';')
    elif t is str:
        text = x.encode('utf-8', 'surrogatepass')
        out(b's%d:' % len(text))
        out(text)
    elif t is bytes:
        out(b'b%d:' % len(x))
        out(x)
    elif t is list or t is tuple or t is set or t is frozenset:
        out((b'l' if t is list else b't' if t is tuple else b'S' if t is set else b'Z') + b'%d:' % len(x))
        for item in x:
            encode_into(out, item, other, depth + 1)
    elif t is dict:
        out(b'd%d:' % len(x))
        for key, value in x.items():
            encode_into(out, key, other, depth + 1)
            encode_into(out, value, other, depth + 1)
    elif t is complex:
        out(b'c' + x.real.hex().encode() + b';' + x.imag.hex().encode() + b';')
    else:
        other(out, x, depth)


def encode(x, other):
    parts = []
    encode_into(parts.append, x, other, 0)
    return b''.join(parts)


def tag(out, name, payload, other, depth):
    out(b'x')
    encode_into(out, name, other, depth + 1)
    encode_into(out, payload, other, depth + 1)


def no_other(out, x, depth):
    """Subclasses of plain types are the plain value they hold; other objects just their type's name."""
    for base in PLAIN:
        if issubclass(type(x), base):
            encode_into(out, dict(dict.items(x)) if base is dict else base(x), no_other, depth)
            return
    tag(out, type(x).__name__, None, no_other, depth)


class Decoder:
    """Reads a value. `other(name, payload)` makes what an x stands for. Bad bytes: Broken."""

    def __init__(self, data, other=None):
        self.data, self.at, self.other = data, 0, other

    def until(self, end, most):
        stop = self.data.find(end, self.at, self.at + most + 1)
        if stop < 0:
            raise Broken('a number does not end')
        text = self.data[self.at:stop]
        self.at = stop + 1
        return text

    def count(self):
        text = self.until(b':', 12)
        n = int(text) if text.isdigit() else -1
        if not 0 <= n <= len(self.data) - self.at:
            raise Broken('a wrong length')
        return n

    def text(self):
        n = self.count()
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self, depth=0):
        if depth > DEPTH:
            raise Broken('a value is nested too deeply')
        c = self.data[self.at:self.at + 1]
        self.at += 1
        if c == b'i':
            return int(self.until(b';', 20))
        if c == b's':
            return str(self.text(), 'utf-8', 'surrogatepass')
        if c == b'l':
            return [self.value(depth + 1) for _ in range(self.count())]
        if c == b'f':
            return float.fromhex(str(self.until(b';', 40), 'ascii'))
        if c == b'N':
            return None
        if c == b'T':
            return True
        if c == b'F':
            return False
        if c == b't':
            return tuple([self.value(depth + 1) for _ in range(self.count())])
        if c == b'd':
            out = {}
            for _ in range(self.count()):
                key = self.value(depth + 1)
                out[key] = self.value(depth + 1)
            return out
        if c == b'S':
            return {self.value(depth + 1) for _ in range(self.count())}
        if c == b'Z':
            return frozenset([self.value(depth + 1) for _ in range(self.count())])
        if c == b'b':
            return bytes(self.text())
        if c == b'I':
            return int(self.until(b';', len(self.data)), 16)
        if c == b'c':
            real = float.fromhex(str(self.until(b';', 40), 'ascii'))
            return complex(real, float.fromhex(str(self.until(b';', 40), 'ascii')))
        if c == b'x' and self.other:
            name = self.value(depth + 1)
            return self.other(name, self.value(depth + 1))
        raise Broken('unknown bytes')


def decode(data, other=None):
    decoder = Decoder(data, other)
    value = decoder.value()
    if decoder.at != len(data):
        raise Broken('bytes behind a value')
    return value


# ---- frames ----

def read_exactly(n):
    parts = []
    while n:
        part = posix.read(CHANNEL, min(n, 1 << 20))
        if not part:
            posix._exit(0)
        parts.append(part)
        n -= len(part)
    return b''.join(parts)


def receive_bytes():
    return read_exactly(int.from_bytes(read_exactly(4), 'little'))


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view):]


def send_bytes(data):
    write_all(CHANNEL, len(data).to_bytes(4, 'little') + data)


def send(*items):
    send_bytes(encode(list(items), no_other))


def describe(error):
    try:
        return str(error)[:2000]
    except BaseException:
        return ''


# ---- processes ----

def kill_group(pid, ended):
    """Ends what still runs of the program's group; the program too, and waits for it, unless its end (a status, else None) was heard."""
    for victim in (pid, -pid):
        if ended is None or victim < 0:
            try:
                posix.kill(victim, 9)
            except OSError:
                pass
    if ended is None:
        posix.waitpid(pid, 0)


def supervise(pid, pipes, limits, seconds, whole=True):
    """Collects what comes out of `pipes` until process `pid` ends, at most `seconds` and limits[i] bytes of pipes[i]. Returns (reason, status, data).

    What counts is settled when `pid` ends. A process that it had started and not waited for may still write, or have written since; nobody can
    tell which, so such a run has reason 'orphan', however busy the machine is. (We adopt orphans, so none is missed.) `whole`
    False: a compiler, whose output is no answer."""
    data = [bytearray() for _ in pipes]
    poller = select.poll()
    for fd in pipes:
        posix.set_blocking(fd, False)
        poller.register(fd, select.POLLIN | select.POLLHUP)
    live, ended, reason, pause = set(pipes), None, '', 0.0002
    end = time.monotonic() + seconds

    def drain(fd):
        i = pipes.index(fd)
        while True:
            try:
                part = posix.read(fd, 1 << 16)
            except BlockingIOError:
                return True
            except OSError:
                part = b''
            if not part:
                poller.unregister(fd)
                live.discard(fd)
                return True
            data[i] += part
            if len(data[i]) > limits[i]:
                return False

    while ended is None:
        left = end - time.monotonic()
        if left <= 0:
            reason = 'timeout'
            break
        if live:
            for fd, _ in poller.poll(max(1, min(left, 0.02) * 1000)):
                if not drain(fd):
                    reason = 'output'
        else:  # it closed its ends: over, or nearly so
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.02)
        if reason:
            break
        done, status = posix.waitpid(pid, posix.WNOHANG)
        if done:
            ended = status
    kill_group(pid, ended)
    if ended is not None:
        for fd in list(live):
            if not drain(fd):
                reason = 'output'
    orphans = outlived()
    sweep()
    for fd in pipes:
        posix.close(fd)
    if reason:
        return reason, 0, data
    if posix.WIFSIGNALED(ended):
        return 'signal', posix.WTERMSIG(ended), data
    if orphans and ended == 0 and whole:
        return 'orphan', 0, data
    return 'exit', posix.WEXITSTATUS(ended), data


def outlived():
    """Is there a process that nobody waited for, alive or dead?"""
    try:
        posix.waitpid(-1, posix.WNOHANG)
    except ChildProcessError:
        return False
    return True


def sweep():
    """Ends what a program left behind, and waits until it is gone: the next one begins without children. Only where this is a pid namespace
    of our own, so that nobody else can be hit."""
    if not ALONE:
        return
    try:
        while True:
            try:
                posix.kill(-1, 9)
            except OSError:
                pass
            if not posix.waitpid(-1, posix.WNOHANG)[0]:
                time.sleep(0.0002)
    except ChildProcessError:
        pass


def alone():
    return len(sys.argv) > 1 and sys.argv[1] == '--alone' and posix.getpid() < 32


ALONE = alone()


def fork_with(data, outputs, body):
    """Forks. The child's stdin holds `data`, descriptors 1.. are pipes (as many as `outputs`); body() never returns. Gives pid and our ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    source = posix.open('.input', posix.O_RDWR | posix.O_CREAT | posix.O_TRUNC, 0o600)
    posix.unlink('.input')
    write_all(source, data)
    posix.lseek(source, 0, 0)
    pairs = [posix.pipe() for _ in range(outputs)]
    pid = posix.fork()
    if pid == 0:
        try:
            posix.setsid()
            posix.dup2(source, 0)
            for fd, (_, theirs) in enumerate(pairs, 1):
                posix.dup2(theirs, fd)
            posix.closerange(3, 64)
            body()
        finally:
            posix._exit(126)
    posix.close(source)
    for _, theirs in pairs:
        posix.close(theirs)
    return pid, [ours for ours, _ in pairs]


def raise_stack_limit():
    import resource
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    wanted = 256 << 20
    resource.setrlimit(resource.RLIMIT_STACK, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def execute(argv):
    try:
        raise_stack_limit()
    except Exception:
        pass
    try:
        posix.execve(argv[0], argv, dict(posix.environ))
    except OSError as error:
        posix.write(2, ('%s: %s' % (argv[0], error)).encode())
    posix._exit(127)


def write_files(files):
    for path, content in files:
        with open(path, 'wb') as file:
            file.write(content)


class Program:
    """Files, a compiler's command, a command to run."""

    def __init__(self, files, compiler, argv, seconds):
        self.argv = argv
        write_files(files)
        if compiler:
            pid, pipes = fork_with(b'', 2, lambda: execute(compiler))
            reason, status, (out, err) = supervise(pid, pipes, [1 << 18] * 2, seconds, False)
            if reason == 'timeout':
                send('slow')
                return
            if (reason, status) != ('exit', 0):
                send('bad', str((err + out)[:4000], 'utf-8', 'replace') or '%s %d' % (reason, status))
                return
        send('ok')

    def body(self):
        execute(self.argv)


def exit_status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 255
    sys.stderr.write(str(code))
    return 1


def end_helpers():
    """Processes that multiprocessing keeps beside a program until after its end."""
    for module, name in (('multiprocessing.forkserver', '_forkserver'), ('multiprocessing.resource_tracker', '_resource_tracker')):
        try:
            getattr(sys.modules[module], name)._stop()
        except Exception:
            pass


def finish(status):
    """What the interpreter does at its end: threads, atexit, buffers."""
    try:
        if 'threading' in sys.modules:
            sys.modules['threading']._shutdown()
        import atexit
        atexit._run_exitfuncs()
        end_helpers()
        sys.stdout.flush()
    except BaseException:
        status = status or 120
    try:
        sys.stderr.flush()
    finally:
        posix._exit(status)


def fresh_module(name):
    module = type(sys)(name)
    module.__file__ = '/box/%s.py' % ('solution' if name == '__main__' else name)
    sys.modules[name] = module
    return module


class PythonProgram:
    def __init__(self, source, arguments=()):
        self.code, self.arguments = None, arguments
        try:
            self.code = compile(source, 'solution.py', 'exec', dont_inherit=True)
        except Exception as error:
            send('bad', '%s: %s' % (type(error).__name__, describe(error)))
            return
        send('ok')

    def body(self):
        status = 0
        sys.argv = ['solution.py', *self.arguments]
        try:
            exec(self.code, fresh_module('__main__').__dict__)
        except SystemExit as error:
            status = exit_status(error.code)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        finish(status)


def run_program(program, data, seconds, limit):
    begin = time.monotonic()
    pid, pipes = fork_with(data, 2, program.body)
    reason, status, (out, err) = supervise(pid, pipes, [limit, 1 << 20], seconds)
    send('ran', reason, status, bytes(out), bytes(err[-2000:]), time.monotonic() - begin)


# ---- conversations ----

def fork_to_talk(body):
    """Forks with pipes as stdin, stdout, stderr. Gives pid and our ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    pairs = [posix.pipe() for _ in range(3)]
    pid = posix.fork()
    if pid == 0:
        try:
            posix.setsid()
            for fd, theirs in enumerate((pairs[0][0], pairs[1][1], pairs[2][1])):
                posix.dup2(theirs, fd)
            posix.closerange(3, 64)
            body()
        finally:
            posix._exit(126)
    for theirs in (pairs[0][0], pairs[1][1], pairs[2][1]):
        posix.close(theirs)
    for ours in (pairs[0][1], pairs[1][0], pairs[2][0]):
        posix.set_blocking(ours, False)
    return pid, pairs[0][1], pairs[1][0], pairs[2][0]


def talk(program, seconds, limit):
    """Runs a program whose input comes as frames ['tell', bytes], the last one ['shut'], and whose output goes as frames ['said', bytes]; at its end
    sends what run_program sends, without the output."""
    begin = time.monotonic()
    pid, into, out, err = fork_to_talk(program.body)
    poller = select.poll()
    for fd in (CHANNEL, out, err):
        poller.register(fd, select.POLLIN | select.POLLHUP)
    pending, complaints, said, told, shut, reason, ended = bytearray(), bytearray(), 0, 0, False, '', None

    def pass_on(fd):
        """What stands in out or err; False: no more will come."""
        nonlocal said, reason
        while True:
            try:
                part = posix.read(fd, 1 << 14)
            except BlockingIOError:
                return True
            except OSError:
                part = b''
            if not part:
                return False
            if fd == err:
                complaints.extend(part)
                del complaints[:-4000]
                continue
            said += len(part)
            if said > limit:
                reason = 'output'
                return True
            send('said', part)

    while not reason:
        done, status = posix.waitpid(pid, posix.WNOHANG)
        if done:
            ended = status
            break
        left = begin + seconds - time.monotonic()
        if left <= 0:
            reason = 'timeout'
            break
        for fd, _ in poller.poll(max(1, min(left, 0.02) * 1000)):
            if fd == CHANNEL:
                word, *rest = decode(receive_bytes())
                if word == 'shut':
                    shut = True
                elif word == 'tell':
                    pending += rest[0]
                    told += len(rest[0])
                    if told > limit:
                        reason = 'output'
            elif fd in (out, err) and not pass_on(fd):
                poller.unregister(fd)
        if into is not None:
            try:
                while pending:
                    del pending[:posix.write(into, pending[:4096])]
            except BlockingIOError:
                pass
            except OSError:  # it reads no more
                pending, shut = bytearray(), True
            if shut and not pending:
                posix.close(into)
                into = None
    kill_group(pid, ended)
    if ended is not None:
        for fd in (out, err):
            pass_on(fd)
    orphans = outlived()
    sweep()
    for fd in (into, out, err):
        if fd is not None:
            posix.close(fd)
    status = 0
    if not reason and posix.WIFSIGNALED(ended):
        reason, status = 'signal', posix.WTERMSIG(ended)
    elif not reason:
        status = posix.WEXITSTATUS(ended)
        reason = 'orphan' if orphans and status == 0 else 'exit'
    send('ran', reason, status, b'', bytes(complaints[-2000:]), time.monotonic() - begin)


# ---- functions ----

def silence():
    """The module's own descriptors lead nowhere."""
    null = posix.open('/dev/null', posix.O_RDWR)
    for fd in range(3):
        posix.dup2(null, fd)
    posix.close(null)


def load_module(prelude, source, name):
    try:
        first = compile(prelude, 'prelude.py', 'exec', dont_inherit=True)
        second = compile(source, name + '.py', 'exec', dont_inherit=True)
    except Exception as error:
        send('bad', '%s: %s' % (type(error).__name__, describe(error)))
        return None
    silence()
    module = fresh_module(name)
    try:
        exec(first, module.__dict__)
        exec(second, module.__dict__)
    except BaseException as error:
        send('raised', type(error).__name__, describe(error))
        return None
    send('ok')
    return module


def find_function(module, path):
    """"f", "Class.f" (of a fresh object), or "f" as a method of class Solution, as LeetCode has it."""
    owner, _, name = path.rpartition('.')
    if owner:
        return getattr(getattr(module, owner)(), name)
    if not hasattr(module, name) and hasattr(module, 'Solution'):
        return getattr(module.Solution(), name)
    return getattr(module, name)


def call_function(module, path, arguments, seconds, limit):
    sweep()  # what the module started when it was loaded
    def body():
        try:
            answer = encode(['value', find_function(module, path)(*arguments)], no_other)
        except BaseException as error:
            answer = encode(['raised', type(error).__name__, describe(error)], no_other)
        write_all(1, answer)
        posix._exit(0)

    pid, pipes = fork_with(b'', 1, body)
    reason, status, (out,) = supervise(pid, pipes, [limit], seconds)
    if (reason, status) == ('exit', 0) and out:
        send_bytes(bytes(out))
    else:
        send('ran', reason, status)


COMMON = ('typing', 'collections', 're', 'math', 'itertools', 'heapq', 'bisect', 'functools', 'string', 'copy', 'operator', 'types', 'ast')


def warm():
    for name in COMMON:
        try:
            __import__(name)
        except Exception:
            pass
    send('ready')


def prepare():
    import builtins
    if hasattr(sys, 'set_int_max_str_digits'):
        sys.set_int_max_str_digits(0)  # time and output are capped; a long answer is no fault
    if not hasattr(builtins, 'exit'):
        builtins.exit = builtins.quit = sys.exit
    sys.path[:0] = ['/box']
    sys.path.append('/usr/lib/python3/dist-packages')


def main():
    prepare()
    program = module = None
    while True:
        command, *rest = decode(receive_bytes())
        if command == 'warm':
            warm()
        elif command == 'python':
            program = PythonProgram(*rest)
        elif command == 'program':
            program = Program(*rest)
        elif command == 'files':
            write_files(*rest)
            send('ok')
        elif command == 'run':
            run_program(program, *rest)
        elif command == 'talk':
            talk(program, *rest)
        elif command == 'module':
            module = load_module(*rest)
        elif command == 'call':
            call_function(module, *rest)
        elif command == 'serve':
            Solution(module).serve()
        elif command == 'tester':
            Tester(*rest).run()
        # 'tell' and 'shut' come late where the program has ended meanwhile
)py";

std::string python_source() {
  return std::string(kLauncherPython) + kSolutionPython + kTesterPython + "\n\nmain()\n";
}

}  // namespace r1::verify::judge
