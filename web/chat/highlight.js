// Light colouring of code: comments, strings, numbers, keywords, types, calls. A language is a row of a table; one regular expression an expression of
// which reads each character once. Text may come in pieces: the state says what is still open (a block comment, a long string).
//
//   tokenize(language, text, state) -> {tokens: [[class, text], ..], state}; class "" is plain. languageOf(name) -> language, or null.

const words = (text) => new Set(text.split(/\s+/).filter(Boolean));
const kCFamily = {line: ["//"], block: [["/*", "*/"]], strings: ["\"", "'"]};
const kControl = "if else for while do switch case default break continue return";

const kLanguages = {
  python: {line: ["#"], multi: [["\"\"\"", "\"\"\""], ["'''", "'''"]], strings: ["\"", "'"],
    keywords: words(`and as assert async await break class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return
      try while with yield None True False case`), types: words("int float str bool list dict set tuple bytes object type self cls")},
  javascript: {...kCFamily, multi: [["`", "`"]],
    keywords: words(`${kControl} async await class const debugger delete export extends finally from function get import in instanceof interface let new of private public readonly
      set static super this throw try catch typeof var void with yield null undefined true false enum implements type namespace declare abstract as is keyof satisfies`),
    types: words("string number boolean any unknown never object symbol bigint Array Map Set Promise Object String Number Boolean Date RegExp Error")},
  c: {...kCFamily, preprocessor: true,
    keywords: words(`${kControl} auto class const constexpr const_cast delete dynamic_cast enum explicit export extern friend goto inline mutable namespace new noexcept operator override
      private protected public register reinterpret_cast sizeof static static_assert static_cast struct template this throw try catch typedef typename union using virtual volatile
      nullptr NULL true false concept requires co_await co_return co_yield consteval constinit decltype final`),
    types: words(`void int char short long float double bool unsigned signed size_t ssize_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t string vector map set
      unique_ptr shared_ptr optional auto`)},
  rust: {...kCFamily, strings: ["\""],
    keywords: words(`${kControl} as async await const crate dyn enum extern fn impl in let loop match mod move mut pub ref self Self static struct super trait type unsafe use where true false`),
    types: words("i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64 bool char str String Vec Option Result Box Some None Ok Err")},
  go: {...kCFamily, multi: [["`", "`"]],
    keywords: words(`${kControl} chan const defer fallthrough func go goto import interface map package range select struct type var nil true false iota make new len cap append`),
    types: words("int int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 float32 float64 string bool byte rune error any")},
  java: {...kCFamily, multi: [["\"\"\"", "\"\"\""]],
    keywords: words(`${kControl} abstract assert catch class const enum extends final finally goto implements import instanceof interface native new package private protected public
      record sealed static strictfp super synchronized this throw throws transient try var volatile yield null true false val fun when object companion data override open internal
      suspend lateinit in is as by using namespace async await get set out ref virtual readonly partial where select from let`),
    types: words("void int char short long float double boolean bool byte string decimal String Integer Long Double Boolean List Map Set Object Int Unit Any")},
  swift: {...kCFamily, multi: [["\"\"\"", "\"\"\""]], strings: ["\""],
    keywords: words(`${kControl} actor as associatedtype async await catch class defer deinit enum extension fallthrough fileprivate func guard import in init inout internal is let
      mutating nil open operator override private protocol public repeat rethrows self Self static struct subscript super throw throws try typealias var where true false some any`),
    types: words("Int Double Float String Bool Array Dictionary Set Optional Character Void")},
  bash: {line: ["#"], strings: ["\"", "'"], variables: true,
    keywords: words(`if then else elif fi for while until do done case esac in function select return exit export local readonly declare unset set shift source alias echo cd printf
      test eval exec trap sudo`), types: words("")},
  sql: {line: ["--"], block: [["/*", "*/"]], strings: ["'", "\""], ignoreCase: true,
    keywords: words(`select from where and or not in is null like between join left right inner outer full cross on as group by order having limit offset insert into values update set
      delete create table index view drop alter add column primary key foreign references unique constraint default check union all distinct case when then else end exists with
      recursive begin commit rollback transaction grant revoke if asc desc returning over partition cascade using`),
    types: words("int integer bigint smallint text varchar char boolean date timestamp numeric decimal real float double serial json jsonb blob uuid")},
  json: {line: ["//"], strings: ["\""], keywords: words("true false null"), types: words(""), keys: true},
  yaml: {line: ["#"], strings: ["\"", "'"], keywords: words("true false null yes no on off"), types: words(""), keys: true},
  toml: {line: ["#", ";"], multi: [["\"\"\"", "\"\"\""]], strings: ["\"", "'"], keywords: words("true false"), types: words(""), keys: true},
  css: {block: [["/*", "*/"]], strings: ["\"", "'"], keywords: words("important media import supports keyframes font-face layer container from to root"), types: words(""), keys: true},
  ruby: {line: ["#"], strings: ["\"", "'"],
    keywords: words(`alias and begin break case class def defined do else elsif end ensure false for if in module next nil not or redo rescue retry return self super then true undef
      unless until when while yield require attr_accessor attr_reader puts lambda proc`), types: words("")},
  php: {line: ["//", "#"], block: [["/*", "*/"]], strings: ["\"", "'"], variables: true,
    keywords: words(`${kControl} abstract and array as catch class clone const declare echo elseif endif extends final finally fn foreach function global implements include instanceof
      interface match namespace new null or private protected public require static throw trait try use var yield true false`), types: words("int float string bool mixed void")},
  lua: {line: ["--"], block: [["--[[", "]]"]], strings: ["\"", "'"],
    keywords: words("and break do else elseif end false for function goto if in local nil not or repeat return then true until while"), types: words("")},
  r: {line: ["#"], strings: ["\"", "'"], keywords: words("if else for while repeat function return break next in TRUE FALSE NULL NA library"), types: words("")},
  haskell: {line: ["--"], block: [["{-", "-}"]], strings: ["\""],
    keywords: words("case class data default deriving do else foreign if import in infix infixl infixr instance let module newtype of then type where forall"), types: words("")},
  make: {line: ["#"], strings: ["\"", "'"], variables: true, keywords: words("ifeq ifneq else endif include define endef export"), types: words("")},
  html: {markup: true, block: [["<!--", "-->"]], strings: ["\"", "'"], keywords: words(""), types: words("")},
  diff: {lines: true},
};

const kNames = {
  py: "python", python3: "python", ipython: "python", js: "javascript", jsx: "javascript", ts: "javascript", tsx: "javascript", typescript: "javascript", mjs: "javascript",
  node: "javascript", cpp: "c", "c++": "c", cc: "c", cxx: "c", h: "c", hpp: "c", cuda: "c", cu: "c", objc: "c", glsl: "c", rs: "rust", golang: "go", kotlin: "java", kt: "java",
  scala: "java", csharp: "java", cs: "java", "c#": "java", dart: "java", groovy: "java", sh: "bash", shell: "bash", zsh: "bash", console: "bash", powershell: "bash", ps1: "bash",
  dockerfile: "bash", docker: "bash", postgres: "sql", postgresql: "sql", mysql: "sql", sqlite: "sql", json5: "json", jsonc: "json", jsonl: "json", yml: "yaml", ini: "toml",
  conf: "toml", scss: "css", less: "css", rb: "ruby", hs: "haskell", makefile: "make", cmake: "make", xml: "html", svg: "html", vue: "html", patch: "diff",
};

export function languageOf(name) {
  const key = name.toLowerCase();
  if (Object.hasOwn(kLanguages, key)) return kLanguages[key];
  return Object.hasOwn(kNames, key) ? kLanguages[kNames[key]] : null;
}

const quote = (text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");

// The language's expression: the groups are long openers, line comments, strings, numbers, words, the rest.
function expressionOf(language) {
  if (language.expression) return language.expression;
  const long = [...(language.block || []), ...(language.multi || [])].map(([open]) => quote(open));
  const parts = [
    long.length ? `(?<long>${long.join("|")})` : null,
    language.line ? `(?<comment>(?:${language.line.map(quote).join("|")})[^\\n]*)` : null,
    language.preprocessor ? "(?<pre>^[ \\t]*#[ \\t]*\\w+)" : null,
    language.markup ? "(?<tag></?[A-Za-z][\\w:.-]*)" : null,
    `(?<string>${language.strings.map((q) => `${q}(?:[^${q}\\\\\\n]|\\\\.)*${q}?`).join("|")})`,
    language.variables ? "(?<variable>\\$\\{?[A-Za-z_]\\w*\\}?)" : null,
    "(?<number>\\b(?:0[xXbBoO][\\da-fA-F_]+|\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)\\w*)",
    "(?<word>[A-Za-z_@][\\w-]*)".replace("-", language.keys ? "-" : ""),
  ].filter(Boolean);
  language.expression = new RegExp(parts.join("|"), "gm");
  return language.expression;
}

function wordClass(language, word, after) {
  const key = language.ignoreCase ? word.toLowerCase() : word;
  if (language.keywords.has(key)) return "k";
  if (language.types.has(key)) return "t";
  if (language.keys) return /^[ \t]*[:=]/.test(after) ? "f" : "";
  if (after[0] === "(") return "f";
  return word[0] === "@" ? "k" : "";
}

export function tokenize(language, text, state = null) {
  const tokens = [];
  const add = (kind, piece) => {
    if (!piece) return;
    const last = tokens[tokens.length - 1];
    if (last && last[0] === kind) last[1] += piece;
    else tokens.push([kind, piece]);
  };
  if (language.lines) {
    for (const line of text.split(/(?<=\n)/)) add(line[0] === "+" ? "s" : line[0] === "-" ? "d" : line.startsWith("@@") ? "k" : "", line);
    return {tokens, state: null};
  }
  let at = 0;
  const close = (from, kind, closer) => {
    const end = text.indexOf(closer, from);
    add(kind, end < 0 ? text.slice(at) : text.slice(at, end + closer.length));
    at = end < 0 ? text.length : end + closer.length;
    state = end < 0 ? {kind, closer} : null;
  };
  if (state) close(0, state.kind, state.closer);
  const expression = expressionOf(language);
  while (at < text.length) {
    expression.lastIndex = at;
    const found = expression.exec(text);
    if (!found) break;
    add("", text.slice(at, found.index));
    at = found.index;
    const groups = found.groups;
    const whole = found[0];
    if (groups.long) {
      const block = (language.block || []).find(([open]) => open === whole);
      const pair = block || language.multi.find(([open]) => open === whole);
      close(at + whole.length, block ? "c" : "s", pair[1]);
      continue;
    }
    at += whole.length;
    if (groups.comment) add("c", whole);
    else if (groups.string) add(language.keys && /^[ \t]*[:=]/.test(text.slice(at, at + 20)) ? "f" : "s", whole);
    else if (groups.number) add("n", whole);
    else if (groups.word) add(wordClass(language, whole, text.slice(at, at + 20)), whole);
    else add("k", whole);  // a preprocessor line, a tag, a variable
  }
  add("", text.slice(at));
  return {tokens, state};
}
