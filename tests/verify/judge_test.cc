// Honest programs are called right, in every style of test and every language that is installed; wrong ones get the verdict that says why.
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "r1/base/error.h"
#include "r1/verify/judge/language.h"
#include "tests/verify/judge_support.h"

namespace r1::verify::judge {
namespace {

const char kAddOne[] = "def f(x):\n    return x[::-1] if isinstance(x, str) else x + 1\n";

TEST(Judge, HonestPythonPassesEverySuite) {
  const Judge judge({.workers = 2, .warm = 2});
  ASSERT_EQ(judge.unavailable(), "");
  for (const NamedSuite& s : suites_of_f()) {
    for (const char* program : {kAddOne,
                                "class N(int): pass\ndef f(x):\n    return ''.join(reversed(x)) if type(x) is str else N(x + 1) if type(x) "
                                "is int else x + 1.0\n"}) {
      const Report report = judge.check({"python", program}, s.suite);
      // A subclass of int is data where it is compared, and an object where its methods decide: calls take it, asserts don't.
      const bool taken = program == kAddOne || s.name == std::string("calls");
      EXPECT_EQ(report.passed(), taken) << s.name << "\n" << shown(report);
      for (const TestReport& t : report.tests) EXPECT_FALSE(t.name.empty());
    }
  }
}

struct Unit {
  const char *name, *tests, *program;
};

// Test files as data sets have them, with programs that are right.
constexpr Unit kUnits[] = {
    {"a class with state",
     "from solution import Account, InsufficientFunds\nimport pytest\n\n@pytest.fixture\ndef account():\n    a = Account('Ada', 100)\n    "
     "yield a\n    a.close()\n\n"
     "def test_balance(account):\n    account.deposit(50)\n    assert account.balance == 150\n    assert account.owner == 'Ada'\n    "
     "assert isinstance(account, Account)\n\n"
     "def test_error(account):\n    with pytest.raises(InsufficientFunds, match='short of 400') as info:\n        account.withdraw(500)\n  "
     "  assert info.value.missing == 400\n"
     "    assert isinstance(info.value, ValueError)\n\ndef test_truth(account):\n    assert account.is_open()\n    account.close()\n    "
     "assert not account.is_open()\n    assert account < Account('B', 200)\n"
     "    assert account + 5 == Account('Ada', 105)\n    assert str(account) == 'Ada: 100'\n    assert len({account, account}) == 1\n",
     "class InsufficientFunds(ValueError):\n    def __init__(self, missing):\n        super().__init__(f'short of {missing}')\n        "
     "self.missing = missing\n"
     "class Account:\n    def __init__(self, owner, balance): self.owner, self.balance, self.opened = owner, balance, True\n"
     "    def deposit(self, n): self.balance += n\n    def withdraw(self, n):\n        if n > self.balance: raise InsufficientFunds(n - "
     "self.balance)\n        self.balance -= n\n"
     "    def is_open(self): return self.opened\n    def close(self): self.opened = False\n    def __lt__(self, o): return self.balance < "
     "o.balance\n"
     "    def __add__(self, n): return Account(self.owner, self.balance + n)\n    def __eq__(self, o): return isinstance(o, Account) and "
     "self.balance == o.balance\n"
     "    def __hash__(self): return hash(self.owner)\n    def __str__(self): return f'{self.owner}: {self.balance}'\n"},
    {"arguments changed in place, callbacks, keywords",
     "from solution import sort_in_place, apply, group, remember\n\ndef test_in_place():\n    xs = [3, 1, 2]\n    assert sort_in_place(xs) "
     "is None\n    assert xs == [1, 2, 3]\n"
     "    d = {'a': 1}\n    remember(d, 'b', [1])\n    assert d == {'a': 1, 'b': [1]}\n\ndef test_callback():\n    seen = []\n    assert "
     "apply(lambda x, k=1: seen.append(x) or x * k, [1, 2, 3], k=10) == [10, 20, 30]\n"
     "    assert seen == [1, 2, 3]\n    assert apply(str.upper, ['a']) == ['A']\n    assert apply(len, ['abc']) == [3]\n\ndef "
     "test_types():\n    assert group([1, 'a', 2.5], key=type) == {int: [1], str: ['a'], float: [2.5]}\n",
     "def sort_in_place(xs): xs.sort()\ndef apply(fn, xs, **k): return [fn(x, **k) for x in xs]\ndef remember(d, k, v): d[k] = v\n"
     "def group(xs, key):\n    out = {}\n    for x in xs: out.setdefault(key(x), []).append(x)\n    return out\n"},
    {"iterators, closures, decorators, context managers",
     "from solution import primes, counter, twice, Timer\nfrom itertools import islice\n\ndef test_iterators():\n    assert "
     "list(islice(primes(), 5)) == [2, 3, 5, 7, 11]\n    it = primes()\n    assert next(it) == 2\n"
     "    assert [a + b for a, b in zip(primes(), range(3))] == [2, 4, 7]\n\ndef test_closure():\n    c = counter(10)\n    assert [c(), "
     "c()] == [11, 12]\n\ndef test_decorator():\n    @twice\n    def add(x): return x + 1\n    assert add(1) == 3\n\n"
     "def test_context():\n    with Timer() as t:\n        pass\n    assert t.done is True\n",
     "def primes():\n    n = 2\n    while True:\n        if all(n % d for d in range(2, n)): yield n\n        n += 1\ndef counter(n):\n    "
     "def count():\n        nonlocal n\n        n += 1\n        return n\n    return count\n"
     "def twice(f): return lambda x: f(f(x))\nclass Timer:\n    done = False\n    def __enter__(self): return self\n    def __exit__(self, "
     "*a): self.done = True\n"},
    {"values of the standard library",
     "from solution import *\nfrom decimal import Decimal\nfrom fractions import Fraction\nfrom collections import Counter, OrderedDict, "
     "deque\nfrom datetime import date, timedelta\nimport pytest\n\n"
     "def test_values():\n    assert price('1.10') == Decimal('2.20')\n    assert half(Fraction(1, 3)) == Fraction(1, 6)\n    assert "
     "count('abca') == Counter('abca') == {'a': 2, 'b': 1, 'c': 1}\n"
     "    assert last([1, 2, 3]) == deque([2, 3])\n    assert day(date(2024, 2, 28)) == date(2024, 2, 29)\n    assert bytes_of('é') == "
     "b'\\xc3\\xa9'\n    assert pair() == (1, 'x') and pair().x == 1\n    assert span() == range(1, 4)\n    assert cplx() == 1 + 2j\n    "
     "assert st() == {1, 2} and fs() == frozenset({3})\n"
     "\ndef test_numbers():\n    assert big() == 7 ** 400\n    assert third() == pytest.approx(0.3333, abs=1e-3)\n    assert [third(), 1] "
     "== pytest.approx([1 / 3, 1])\n    assert nan() != nan()\n    assert zero() == 0.0 and str(zero()) == '-0.0'\n",
     "from decimal import Decimal\nfrom fractions import Fraction\nfrom collections import Counter, namedtuple, deque\nimport "
     "datetime\nPair = namedtuple('Pair', 'x y')\ndef price(s): return Decimal(s) * 2\ndef half(f): return f / 2\ndef count(s): return "
     "Counter(s)\n"
     "def last(xs): return deque(xs, maxlen=2)\ndef day(d): return d + datetime.timedelta(days=1)\ndef bytes_of(s): return s.encode()\ndef "
     "pair(): return Pair(1, 'x')\ndef span(): return range(1, 4)\ndef cplx(): return 1 + 2j\ndef st(): return {1, 2}\ndef fs(): return "
     "frozenset({3})\n"
     "def big(): return 7 ** 400\ndef third(): return 1 / 3\ndef nan(): return float('nan')\ndef zero(): return -0.0\n"},
    {"unittest with set-up, printing",
     "import io, unittest\nfrom contextlib import redirect_stdout\nfrom unittest.mock import patch\nfrom solution import Stack, shout, "
     "Color\n\nclass Tests(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls): cls.n = 3\n    def setUp(self): self.stack = "
     "Stack()\n"
     "    def test_push(self):\n        for i in range(self.n): self.stack.push(i)\n        self.assertEqual(len(self.stack), 3)\n        "
     "self.assertIn(2, self.stack)\n        self.assertEqual(list(self.stack), [0, 1, 2])\n        self.assertEqual(self.stack[1], 1)\n"
     "    def test_empty(self):\n        self.assertFalse(self.stack)\n        with self.assertRaises(IndexError): self.stack.pop()\n      "
     "  self.assertRaisesRegex(IndexError, 'empty', self.stack.pop)\n"
     "    def test_print(self):\n        out = io.StringIO()\n        with redirect_stdout(out): shout('a')\n        "
     "self.assertEqual(out.getvalue(), 'A!\\n')\n        with patch('sys.stdout', new_callable=io.StringIO) as o: shout('b')\n        "
     "self.assertEqual(o.getvalue(), 'B!\\n')\n"
     "    def test_enum(self):\n        self.assertEqual(Color.RED, Color('red'))\n        self.assertNotEqual(Color.RED, Color.BLUE)\n    "
     "    for i in range(3):\n            with self.subTest(i=i): self.assertEqual(i, i)\n\ndef test_capsys(capsys):\n    shout('c')\n    "
     "assert capsys.readouterr().out == 'C!\\n'\n",
     "import enum\nclass Color(enum.Enum):\n    RED = 'red'\n    BLUE = 'blue'\nclass Stack:\n    def __init__(self): self.items = []\n    "
     "def push(self, x): self.items.append(x)\n    def pop(self):\n        if not self.items: raise IndexError('pop from empty stack')\n   "
     "     return self.items.pop()\n"
     "    def __len__(self): return len(self.items)\n    def __contains__(self, x): return x in self.items\n    def __iter__(self): return "
     "iter(self.items)\n    def __getitem__(self, i): return self.items[i]\n    def __bool__(self): return bool(self.items)\n"
     "def shout(s): print(s.upper() + '!')\n"},
};

TEST(Judge, UnitTestsInEveryStyle) {
  const Judge judge({.workers = 2, .warm = 2});
  ASSERT_EQ(judge.unavailable(), "");
  two_at_a_time(std::size(kUnits), [&](size_t i) {
    Suite suite{.kind = Suite::Kind::kUnit, .files = {{"test_it.py", kUnits[i].tests}}};
    const Report report = judge.check({"python", kUnits[i].program}, suite);
    EXPECT_TRUE(report.passed()) << kUnits[i].name << "\n" << shown(report);
    // The same tests against nothing, and against a program that is not whole.
    EXPECT_EQ(judge.check({"python", ""}, suite).passes(), 0) << kUnits[i].name;
  });
}

TEST(Judge, CallsCompareData) {
  const Judge judge({.workers = 2, .warm = 2});
  ASSERT_EQ(judge.unavailable(), "");
  const auto call = [&](const std::string& program, const std::string& arguments, const std::string& expected, double tolerance = 0) {
    Suite suite{.kind = Suite::Kind::kCalls, .tests = {{.input = arguments, .expected = expected}}, .entry = "f", .value = {tolerance}};
    const Report report = judge.check({"python", program}, suite, {.test_seconds = 3});
    EXPECT_NE(report.verdict, Verdict::kSandboxMissing);
    return report.verdict;
  };
  EXPECT_EQ(call("def f(a, b): return a + b", "[1, 2]", "3"), Verdict::kPass);
  EXPECT_EQ(call("class Solution:\n    def f(self, a): return a[::-1]", "[[1, 2]]", "[2, 1]"), Verdict::kPass);
  EXPECT_EQ(call("def f(): return (1, [2, (3,)])", "[]", "[1, [2, [3]]]"), Verdict::kPass);
  EXPECT_EQ(call("def f(): return {1, 2}", "[]", "[1, 2]"), Verdict::kFail);
  EXPECT_EQ(call("def f(n): return n ** 40", "[123456789]", "4578225470265146345405000829036396446171735298867340951126391405979105"),
            Verdict::kFail);
  EXPECT_EQ(call("def f(n): return n * n", "[100000000000000000000001]", "10000000000000000000000200000000000000000000001"),
            Verdict::kPass);
  EXPECT_EQ(call("def f(): return 0.1 + 0.2", "[]", "0.3"), Verdict::kFail);
  EXPECT_EQ(call("def f(): return 0.1 + 0.2", "[]", "0.3", 1e-9), Verdict::kPass);
  EXPECT_EQ(call("def f(): return float('nan')", "[]", "NaN"), Verdict::kPass);
  EXPECT_EQ(call("def f(): return [float('inf'), -0.0]", "[]", "[Infinity, 0.0]"), Verdict::kPass);
  EXPECT_EQ(call("def f(s): return s.upper()", "[\"h\\u00e9\\ud83d\\ude00\"]", "\"H\\u00c9\\ud83d\\ude00\""), Verdict::kPass);
  EXPECT_EQ(call("def f(s): return s", "[\"\\ud800\"]", "\"\\ud800\""), Verdict::kPass);
  EXPECT_EQ(call("def f(): return {1: 'a', True: 'b'}", "[]", "{\"1\": \"b\"}"), Verdict::kPass);
  EXPECT_EQ(call("import sys\nsys.setrecursionlimit(100000)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)", "[30000]", "30000"),
            Verdict::kPass);
  EXPECT_EQ(call("def f(n): return list(range(n))", "[3]", "[0, 1, 2]"), Verdict::kPass);
  EXPECT_EQ(call("def f(): return ''.join(chr(i) for i in range(200)) * 1000", "[]", "\"\""), Verdict::kFail);
  EXPECT_EQ(call("def f(): raise ValueError('no')", "[]", "1"), Verdict::kError);
  EXPECT_EQ(call("def f(): return object()", "[]", "1"), Verdict::kFail);
  EXPECT_EQ(call("def g(): return 1", "[]", "1"), Verdict::kError);
  EXPECT_EQ(call("def f(: return 1", "[]", "1"), Verdict::kCompileError);
  EXPECT_EQ(call("def f():\n    while True: pass", "[]", "1"), Verdict::kTimeout);
  EXPECT_EQ(call("def f(): return 'x' * (300 << 20) * 3", "[]", "1"), Verdict::kMemory);
  EXPECT_EQ(call("def f(): return 'x' * (6 << 20)", "[]", "1"), Verdict::kOutputLimit);
}

// Where several outputs are right: they are listed, or a program of the data set says so.
TEST(Judge, SeveralRightOutputs) {
  const Judge judge({.workers = 2});
  ASSERT_EQ(judge.unavailable(), "");
  Suite io{.kind = Suite::Kind::kStdin};
  io.tests = {{.input = "6\n", .expected = "2 3\n", .also = {"3 2\n", "1 6\n"}}};
  EXPECT_TRUE(judge.check({"python", "print(2, 3)"}, io).passed());
  EXPECT_TRUE(judge.check({"python", "print(1, 6)"}, io).passed());
  const Report wrong = judge.check({"python", "print(6, 1)"}, io);
  EXPECT_EQ(wrong.verdict, Verdict::kFail);
  EXPECT_NE(wrong.detail.find("expected '2 3', got '6 1'"), std::string::npos) << wrong.detail;

  // Any two factors of the input; in both languages that checkers are written in.
  const std::string python =
      "import sys\nn = int(open(sys.argv[1]).read())\nwords = open(sys.argv[2]).read().split()\nassert open(sys.argv[3]).read() == 'x\\n'\n"
      "try: a, b = map(int, words)\nexcept ValueError: sys.exit(2)\nif a * b != n: print('no factors', file=sys.stderr)\nsys.exit(a * b != "
      "n)\n";
  const std::string c =
      "#include <stdio.h>\nint main(int argc, char** argv) { long n, a, b; FILE *i = fopen(argv[1], \"r\"), *o = fopen(argv[2], \"r\");\n"
      "fscanf(i, \"%ld\", &n); if (fscanf(o, \"%ld %ld\", &a, &b) != 2) return 2; return a * b != n; }\n";
  for (const Checker& checker : {Checker{"python", python}, Checker{"c", c}}) {
    Suite suite{.kind = Suite::Kind::kStdin};
    suite.tests = {{.input = "12\n", .expected = "x\n"}, {.input = "35\n", .expected = "x\n"}};
    suite.checker = checker;
    const std::string factor = "n = int(input())\nd = next(d for d in range(2, n + 1) if n % d == 0)\n";
    EXPECT_TRUE(judge.check({"python", factor + "print(d, n // d)"}, suite).passed())
        << shown(judge.check({"python", factor + "print(d, n // d)"}, suite));
    EXPECT_TRUE(judge.check({"python", factor + "print(n // d, d)"}, suite).passed());
    const Report other = judge.check({"python", factor + "print(d, n)"}, suite);
    EXPECT_EQ(other.passes(), 0);
    EXPECT_EQ(other.verdict, Verdict::kFail) << shown(other);
    EXPECT_EQ(judge.check({"python", "print('many')"}, suite).verdict, Verdict::kFail);
    EXPECT_EQ(judge.check({"python", "raise ValueError"}, suite).verdict, Verdict::kError);
    // The program cannot reach the checker: it is in another sandbox, and its files appear there only.
    EXPECT_EQ(judge
                  .check({"python",
                          "import os\nfor n in ('input.txt', 'output.txt', 'answer.txt', 'checker.py'):\n    open(n, 'w').write('0 0')\n"
                          "print(open('input.txt').read())"},
                         suite)
                  .passes(),
              0);
  }
  Suite broken{.kind = Suite::Kind::kStdin};
  broken.tests = {{.input = "1\n", .expected = "1\n"}};
  broken.checker.code = "import sys\nsys.exit(7)\n";
  const Report report = judge.check({"python", "print(1)"}, broken);
  EXPECT_EQ(report.verdict, Verdict::kError);
  EXPECT_NE(report.detail.find("the checker left with code 7"), std::string::npos) << report.detail;
}

TEST(Judge, InteractiveProblems) {
  const Judge judge({.workers = 2});
  ASSERT_EQ(judge.unavailable(), "");
  // A number is to be found with at most ten guesses.
  const char* python =
      "import sys\nsecret = int(open(sys.argv[1]).read())\nfor guess in range(10):\n    line = sys.stdin.readline()\n"
      "    if not line:\n        sys.exit('it stopped guessing')\n    n = int(line)\n"
      "    print('same' if n == secret else 'more' if n < secret else 'less', flush=True)\n    if n == secret:\n        sys.exit(0)\n"
      "sys.exit('ten guesses')\n";
  const char* c =
      "#include <stdio.h>\nint main(int argc, char** argv) { int secret, n; FILE* f = fopen(argv[1], \"r\"); if (argc != 4 || fscanf(f, "
      "\"%d\", &secret) != 1) return 3;\nfor (int i = 0; i < 10; ++i) { if (scanf(\"%d\", &n) != 1) return 1;\n"
      "puts(n == secret ? \"same\" : n < secret ? \"more\" : \"less\"); fflush(stdout); if (n == secret) return 0; } return 1; }\n";
  const std::string halving =
      "low, high = 1, 1000\nwhile True:\n    n = (low + high) // 2\n    print(n, flush=True)\n    said = input()\n"
      "    if said == 'same':\n        break\n    if said == 'more':\n        low = n + 1\n    else:\n        high = n - 1\n";
  for (const Checker& interactor : {Checker{"python", python, true}, Checker{"c", c, true}}) {
    Suite suite;
    suite.tests = {{.input = "700", .expected = ""}, {.input = "1", .expected = ""}};
    suite.checker = interactor;
    const auto verdict = [&](const std::string& code, double seconds = 50) {
      const Report report = judge.check({"python", code}, suite, {.test_seconds = seconds});
      return std::string(verdict_name(report.verdict)) + (report.passes() ? " some" : "");
    };
    EXPECT_EQ(verdict(halving), "pass some");
    EXPECT_EQ(judge
                  .check({"c",
                          "#include <stdio.h>\nint main() { int low = 1, high = 1000; char s[9]; for (;;) { int n = (low + high) / 2; "
                          "printf(\"%d\\n\", n); fflush(stdout); if (scanf(\"%8s\", s) != 1) return 1; if (s[0] == 's') return 0; "
                          "if (s[0] == 'm') low = n + 1; else high = n - 1; } }\n"},
                         suite)
                  .verdict,
              Verdict::kPass);
    EXPECT_EQ(verdict("n = 0\nwhile True:\n    n += 1\n    print(n, flush=True)\n    if input() == 'same':\n        break\n"), "fail some");
    EXPECT_EQ(verdict("print(500, flush=True)\n"), "fail");
    EXPECT_EQ(verdict("pass\n"), "fail");
    EXPECT_EQ(verdict("input()\n", 1), "timeout");  // both wait
    EXPECT_EQ(verdict("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n"), "fail");
    // right, but it ends badly
    EXPECT_EQ(verdict(halving + "raise SystemExit(3)\n"), "error");
    // the secret is not where the program is, and its exit code proves nothing
    EXPECT_EQ(verdict("import os\nprint(open('input.txt').read(), flush=True)\ninput()\n").substr(0, 4), "fail");
    EXPECT_EQ(verdict("import os\nos._exit(0)\n"), "fail");
    EXPECT_EQ(verdict("while True:\n    print('x' * 100000)\n", 3).find("some"), std::string::npos);
  }
}

// A long answer is no fault: Python's own limit on the digits of an int is lifted, on both sides.
TEST(Judge, IntsOfAnyLength) {
  const Judge judge({.workers = 2});
  ASSERT_EQ(judge.unavailable(), "");
  Suite io{.kind = Suite::Kind::kStdin};
  io.tests = {{.input = "6000\n", .expected = "1" + std::string(6000, '0') + "\n"}};
  EXPECT_TRUE(judge.check({"python", "print(10 ** int(input()))"}, io).passed());
  EXPECT_FALSE(judge.check({"python", "print(10 ** int(input()) + 1)"}, io).passed());
  Suite calls{.kind = Suite::Kind::kCalls};
  calls.entry = "f";
  calls.tests = {{.input = "[6000]", .expected = "1" + std::string(6000, '0')}};
  EXPECT_TRUE(judge.check({"python", "def f(n): return int('1' + '0' * n)"}, calls).passed());
  EXPECT_FALSE(judge.check({"python", "def f(n): return 10 ** n + 1"}, calls).passed());
}

TEST(Judge, ProgramsGetTheVerdictThatSaysWhy) {
  const Judge judge({.workers = 2, .warm = 2});
  ASSERT_EQ(judge.unavailable(), "");
  // Much time for what should not need it: the machine may be busy.
  const auto run = [&](const std::string& program, const std::string& input, const std::string& output, double seconds = 50) {
    Suite suite{.kind = Suite::Kind::kStdin, .tests = {{.input = input, .expected = output}}};
    const Report report = judge.check({"python", program}, suite, {.test_seconds = seconds});
    return report.tests[0];
  };
  EXPECT_EQ(run("print(input()[::-1])", "abc\n", "cba\n").verdict, Verdict::kPass);
  EXPECT_EQ(run("import sys\nfor l in sys.stdin: print(sum(map(int, l.split())))", "1 2\n3 4\n", "3\n7\n").verdict, Verdict::kPass);
  EXPECT_EQ(run("if __name__ == '__main__':\n    print(open(0).read().strip())", "\xE4\xBD\xA0\xE5\xA5\xBD\n", "\xE4\xBD\xA0\xE5\xA5\xBD\n")
                .verdict,
            Verdict::kPass);
  EXPECT_EQ(run("import threading\nt = threading.Thread(target=lambda: print(1))\nt.start()", "", "1").verdict, Verdict::kPass);
  EXPECT_EQ(run("import atexit\natexit.register(print, 2)\nprint(1)\nexit()", "", "1\n2").verdict, Verdict::kPass);
  EXPECT_EQ(run("import sys\nprint(1)\nsys.exit(0)", "", "1").verdict, Verdict::kPass);
  EXPECT_EQ(run("import pickle, json, numbers, dataclasses\n@dataclasses.dataclass\nclass P:\n    x: "
                "int\nprint(pickle.loads(pickle.dumps(P(3))).x)",
                "", "3")
                .verdict,
            Verdict::kPass);
  EXPECT_EQ(run("print('y' * 900000)", "", std::string(900000, 'y')).verdict, Verdict::kPass);
  EXPECT_EQ(run("print(len(input()))", std::string(3 << 20, 'z'), std::to_string(3 << 20)).verdict, Verdict::kPass);
  EXPECT_EQ(run("print(1)\nexit(3)", "", "1").verdict, Verdict::kError);
  EXPECT_EQ(run("print(2)", "", "1").verdict, Verdict::kFail);
  EXPECT_NE(run("1 / 0", "", "1").detail.find("ZeroDivisionError"), std::string::npos);
  EXPECT_EQ(run("import time\ntime.sleep(60)", "", "1", 1).verdict, Verdict::kTimeout);
  EXPECT_EQ(run("while True: print('x' * 1000)", "", "1").verdict, Verdict::kOutputLimit);
  EXPECT_EQ(run("x = bytearray(400 << 20)\ny = bytearray(400 << 20)\nprint(len(x), len(y))", "", "1").verdict, Verdict::kMemory);
  EXPECT_EQ(run("print(1", "", "1").verdict, Verdict::kCompileError);
  EXPECT_EQ(run("import os\nos.kill(os.getpid(), 11)", "", "1").verdict, Verdict::kError);
}

// a + b for each line of "a b", in twelve languages and more; each compiles once for both tests.
TEST(Judge, ATableOfLanguages) {
  const Judge judge({.workers = 2});
  ASSERT_EQ(judge.unavailable(), "");
  const std::pair<const char*, const char*> programs[] = {
      {"java",
       "import java.util.*;\npublic class Sum {\n  static class Pair { long a, b; }\n  public static void main(String[] args) {\n    "
       "Scanner s = new Scanner(System.in);\n"
       "    while (s.hasNextLong()) { Pair p = new Pair(); p.a = s.nextLong(); p.b = s.nextLong(); System.out.println(p.a + p.b); }\n  "
       "}\n}\n"},
      {"rust",
       "use std::io::*;\nfn main() {\n    let mut s = String::new();\n    stdin().read_to_string(&mut s).unwrap();\n    for l in s.lines() "
       "{\n"
       "        println!(\"{}\", l.split_whitespace().map(|x| x.parse::<i64>().unwrap()).sum::<i64>());\n    }\n}\n"},
      {"cpp", "#include <iostream>\nint main() { long a, b; while (std::cin >> a >> b) std::cout << a + b << '\\n'; }\n"},
      {"ada",
       "with Ada.Text_IO; use Ada.Text_IO;\nwith Ada.Integer_Text_IO; use Ada.Integer_Text_IO;\nprocedure Sum is\n   A, B : "
       "Integer;\nbegin\n   while not End_Of_File loop\n"
       "      Get (A); Get (B); Skip_Line; Put (A + B, Width => 0); New_Line;\n   end loop;\nend Sum;\n"},
      {"go",
       "package main\nimport \"fmt\"\nfunc main() {\n\tvar a, b int\n\tfor {\n\t\tif n, _ := fmt.Scan(&a, &b); n < 2 { return "
       "}\n\t\tfmt.Println(a + b)\n\t}\n}\n"},
      {"javascript",
       "const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(l => l);\nfor (const l of lines) { const [a, b] = "
       "l.split(' ').map(Number); console.log(a + b); }\n"},
      {"c",
       "#include <stdio.h>\nint main(void) { long a, b; while (scanf(\"%ld %ld\", &a, &b) == 2) printf(\"%ld\\n\", a + b); return 0; }\n"},
      {"pascal", "program sum;\nvar a, b: int64;\nbegin\n  while not eof do begin\n    readln(a, b);\n    writeln(a + b);\n  end;\nend.\n"},
      {"fortran",
       "program s\n  implicit none\n  integer(8) :: a, b\n  integer :: ios\n  do\n    read (*, *, iostat=ios) a, b\n    if (ios /= 0) "
       "exit\n    write (*, '(i0)') a + b\n  end do\nend program\n"},
      {"python", "import sys\nfor l in sys.stdin:\n    print(sum(map(int, l.split())))\n"},
      {"bash", "while read a b; do echo $((a + b)); done\n"},
      {"perl", "while (<>) { my ($a, $b) = split; print $a + $b, \"\\n\"; }\n"},
      {"tcl", "while {[gets stdin l] >= 0} { puts [expr {[lindex $l 0] + [lindex $l 1]}] }\n"},
      {"ruby", "STDIN.each_line { |l| puts l.split.map(&:to_i).sum }\n"},
      {"php", "<?php while (($l = fgets(STDIN)) !== false) { [$a, $b] = explode(' ', trim($l)); echo $a + $b, \"\\n\"; }\n"},
  };
  EXPECT_EQ(std::size(programs), languages().size());
  const Suite suite{.kind = Suite::Kind::kStdin,
                    .tests = {{.input = "1 2\n30 12\n", .expected = "3\n42\n"}, {.input = "-5 2\n", .expected = "-3\n"}}};
  std::atomic<int> ran{0}, missing{0};
  two_at_a_time(std::size(programs), [&](size_t i) {
    const auto& [language, code] = programs[i];
    const Report report = judge.check({language, code}, suite, {.test_seconds = 10, .deadline = 100});
    if (report.verdict == Verdict::kToolchainMissing) {
      EXPECT_NE(report.detail.find("is not installed"), std::string::npos) << report.detail;
      ++missing;
      return;
    }
    ++ran;
    EXPECT_TRUE(report.passed()) << language << "\n" << shown(report);
    EXPECT_NEAR(report.fraction(), 1, 0) << language;
  });
  RecordProperty("languages", ran.load());
  std::printf("%d languages judged, %d toolchains missing\n", ran.load(), missing.load());
  EXPECT_EQ(judge.check({"c", "int main( {"}, suite).verdict, Verdict::kCompileError);
  EXPECT_EQ(judge.check({"klingon", "x"}, suite).verdict, Verdict::kToolchainMissing);
}

TEST(Judge, EarlyStopAndDeadlines) {
  const Judge judge({.workers = 1, .warm = 1});
  ASSERT_EQ(judge.unavailable(), "");
  Suite suite{.kind = Suite::Kind::kStdin};
  for (const char* in : {"1", "2", "3"}) suite.tests.push_back({.input = in, .expected = in});
  const Submission wrong_at_two{"python", "x = input()\nprint(x if x != '2' else 'no')"};
  const Report all = judge.check(wrong_at_two, suite), stopped = judge.check(wrong_at_two, suite, {.early_stop = true});
  EXPECT_EQ(all.passes(), 2);
  EXPECT_EQ(stopped.passes(), 1);
  EXPECT_EQ(stopped.tests[2].verdict, Verdict::kNotRun);
  EXPECT_EQ(stopped.verdict, Verdict::kFail);
  // A whole check never takes longer than its deadline allows, however many tests hang.
  suite.tests.assign(50, {.input = "", .expected = "x"});
  const Report hung = judge.check({"python", "while True: pass"}, suite, {.test_seconds = 0.3, .deadline = 1});
  EXPECT_LT(hung.seconds, 3);
  EXPECT_EQ(hung.passes(), 0);
  EXPECT_EQ(hung.tests.back().verdict, Verdict::kNotRun);
  // A caller that finds no free worker waits as long as it said.
  std::thread other([&] { judge.check({"python", "while True: pass"}, suite, {.test_seconds = 1.5, .deadline = 1.5}); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const Report waited = judge.check({"python", "print('x')"}, suite, {.deadline = 0.2});
  EXPECT_LT(waited.seconds, 1);
  EXPECT_EQ(waited.verdict, Verdict::kNotRun);
  other.join();
}

// Under a steady load nobody has time for those that are used up; they hold processes and descriptors all the same.
TEST(Judge, UsedSandboxesDoNotPileUp) {
  constexpr int kWorkers = 4, kWarm = 2, kChecks = 160;
  const Judge judge({.workers = kWorkers, .warm = kWarm});
  ASSERT_EQ(judge.unavailable(), "");
  judge.wait_until_warm();
  const auto open_files = [] {
    namespace fs = std::filesystem;
    return int(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
  };
  const int before = open_files();
  const Suite suite{.kind = Suite::Kind::kStdin, .tests = {{.input = "1", .expected = "1"}}};
  std::atomic<int> next = 0, passed = 0;
  int most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kWorkers; ++t)
    threads.emplace_back([&] {
      while (next++ < kChecks) passed += judge.check({"python", "print(input())"}, suite).passed();
    });
  for (; next < kChecks; std::this_thread::sleep_for(std::chrono::milliseconds(5))) most = std::max(most, open_files());
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(passed, kChecks);
  EXPECT_LE(most - before, 24 * (kWorkers + kWarm + 4));  // of a sandbox that runs or waits for its end
}

TEST(Judge, RefusesWhatIsNoSuite) {
  const Judge judge;
  const auto error_of = [&](const Submission& s, const Suite& suite) {
    try {
      judge.check(s, suite);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(error_of({}, {}).find("at least one test"), std::string::npos);
  EXPECT_NE(error_of({}, {.kind = Suite::Kind::kCheck}).find("needs code"), std::string::npos);
  EXPECT_NE(error_of({}, {.kind = Suite::Kind::kUnit}).find("needs files"), std::string::npos);
  EXPECT_NE(error_of({}, {.kind = Suite::Kind::kCalls, .tests = {{.input = "[]"}}}).find("name of the function"), std::string::npos);
  EXPECT_NE(error_of({"c", ""}, {.kind = Suite::Kind::kCalls, .tests = {{.input = "[]"}}, .entry = "f"}).find("stdin tests"),
            std::string::npos);
  EXPECT_NE(error_of({}, {.kind = Suite::Kind::kCalls, .tests = {{.input = "1", .expected = "1"}}, .entry = "f"}).find("a JSON list"),
            std::string::npos);
}

}  // namespace
}  // namespace r1::verify::judge
