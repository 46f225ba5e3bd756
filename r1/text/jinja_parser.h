// Chat templates to a syntax tree: the lexer and grammar of jinja2 3.1 with trim_blocks and lstrip_blocks set, as transformers sets them,
// plus its
// {% generation %} and the loopcontrols extension. Leaves out inheritance and includes (extends, block, include, import), autoescape and
// i18n. Nesting is bounded while parsing, so neither a deep template nor its tree can overflow the stack.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/text/jinja_value.h"

namespace r1::text::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kList,
  kTuple,
  kDict,  // children: items; key, value, key, value
  kGetattr,
  kGetitem,
  kSlice,  // name | object, key | start, stop, step (may be null)
  kCall,
  kFilter,
  kTest,  // children: callee or subject (null for the head of a filter block), then arguments
  kOr,
  kAnd,
  kNot,
  kNeg,
  kPos,
  kBinary,
  kConcat,     // kBinary: `name` is the operator
  kCompare,    // children: a, b, c, ..; names: the operators between
  kCondition,  // children: test, then, else (may be null)
};

struct Expr {
  ExprKind kind;
  int line = 0, depth = 1;
  std::string name;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<std::string> names;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr star, double_star;  // f(*star, **double_star)
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

enum class StatementKind : uint8_t {
  kText,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kGeneration,
  kBreak,
  kContinue
};

// What is assigned to: a name, ns.attribute or a (nested) tuple of targets.
struct Target {
  std::string name, attribute;
  std::vector<Target> parts;
};

struct Statement {
  StatementKind kind;
  int line = 0;
  std::string text;                     // kText; the macro's name
  std::vector<Target> targets;          // kFor, kSet, kSetBlock, kWith
  std::vector<ExprPtr> exprs;           // kOutput; kIf: tests; kFor: iterable, filter (may be null); kSet: value; kCallBlock: the call;
                                        // kFilterBlock, kSetBlock: filter; kWith: values
  std::vector<Body> bodies;             // kIf: one a test, then else if there is one more; kFor: body, else; the rest: one
  std::vector<std::string> parameters;  // kMacro, kCallBlock
  std::vector<ExprPtr> defaults;        // of the last parameters
  bool recursive = false;               // kFor
};

// Throws r1::Error "chat template:line: ..." on anything that does not parse or nests deeper than `max_depth`.
Body parse_template(std::string_view source, int max_depth);

}  // namespace r1::text::jinja
