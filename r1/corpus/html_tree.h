// A page as a tree, by the rules of the HTML standard that bear on its text: implied ends (<p>, <li>, <td>, ...), what ends what, raw text,
// void elements. In one pass over the bytes and in linear time whatever they are: elements deeper than kMaxDepth are not opened (their text
// goes to the one above), a page of more than kMaxNodes nodes is cut.
//
// Leaves out: what moves text in a browser (foster parents of tables: it stays in place), formatting elements (b, i, span, ...; only what
// the text's form or place needs is kept), templates and frames, scripts' effects. Nodes point into the page's bytes, which must outlive
// the tree; character references are resolved by whoever reads them (html_entities.h).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace r1::corpus {

enum class Tag : uint8_t {
  kText,     // no element
  kUnknown,  // any other element; inline
  kHtml,
  kHead,
  kBody,
  kTitle,
  kMeta,
  kLink,
  kBase,
  kScript,
  kStyle,
  kNoscript,
  kTemplate,
  kMain,
  kArticle,
  kSection,
  kNav,
  kAside,
  kHeader,
  kFooter,
  kAddress,
  kDiv,
  kCenter,
  kP,
  kPre,
  kBlockquote,
  kFigure,
  kFigcaption,
  kHr,
  kH1,
  kH2,
  kH3,
  kH4,
  kH5,
  kH6,
  kHgroup,
  kDetails,
  kSummary,
  kDialog,
  kFieldset,
  kForm,
  kLegend,
  kMenu,
  kSearch,
  kUl,
  kOl,
  kLi,
  kDl,
  kDt,
  kDd,
  kTable,
  kCaption,
  kColgroup,
  kThead,
  kTbody,
  kTfoot,
  kTr,
  kTd,
  kTh,
  kA,
  kBr,
  kWbr,
  kImg,
  kCode,
  kSamp,
  kKbd,
  kTt,
  kSpan,
  kSub,
  kSup,
  kRuby,
  kRt,
  kRp,
  kTime,
  kQ,
  kDel,
  kListing,
  kXmp,
  kButton,
  kInput,
  kSelect,
  kOptgroup,
  kOption,
  kTextarea,
  kLabel,
  kOutput,
  kSvg,
  kMath,
  kAnnotation,
  kIframe,
  kObject,
  kEmbed,
  kVideo,
  kAudio,
  kSource,
  kTrack,
  kCanvas,
  kNoembed,
  kNoframes,
  kParam,
  kArea,
  kMap,
  kPlaintext,
  kCount,
};

enum class Attr : uint8_t {
  kClass,
  kId,
  kRole,
  kHref,
  kRel,
  kItemprop,
  kItemtype,
  kContent,
  kName,
  kProperty,
  kLang,
  kStyle,
  kHidden,
  kAriaHidden,
  kAriaLabel,
  kType,
  kDatetime,
  kAlt,
  kAlttext,
  kEncoding,
  kColspan,
  kDataLang,
  kStart,
  kCount,
};

// What a tag is to the parser and to the text.
enum TagTrait : uint16_t {
  kVoid = 1,        // has no content
  kBlock = 2,       // begins and ends a line of its own
  kClosesP = 4,     // its start ends an open <p>
  kRaw = 8,         // content is not markup
  kScope = 16,      // nothing outside is ended from inside
  kSkipped = 32,    // its content is no text of the page
  kSpecial = 64,    // an end tag of an inline element does not reach past it
  kHeadOnly = 128,  // may stand in <head>
};
uint16_t traits(Tag tag);
std::string_view name_of(Tag tag);

struct Node {
  Tag tag = Tag::kText;
  uint8_t attributes = 0;  // how many, from first_attribute
  uint16_t depth = 0;
  int32_t parent = -1, next = -1;  // -1: none
  int32_t first = -1, last = -1;   // children
  uint32_t end = 0;                // the first node that is not below this one: [i, end) is its subtree, in document order
  uint32_t first_attribute = 0;
  std::string_view text;  // of a text node, references unresolved; of a raw element its content; of an unknown one its name
};

struct Attribute {
  Attr name;
  std::string_view value;
};

class HtmlTree {
 public:
  static constexpr int kMaxDepth = 400;
  static constexpr size_t kMaxNodes = size_t{3} << 20;
  static constexpr int kMaxAttributes = 32;  // of those that are kept, an element

  explicit HtmlTree(std::string_view page);

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& operator[](int32_t i) const { return nodes_[size_t(i)]; }
  int32_t size() const { return int32_t(nodes_.size()); }
  // The attribute as written, references unresolved; empty if it is absent or empty.
  std::string_view attribute(int32_t node, Attr name) const;
  bool has_attribute(int32_t node, Attr name) const;
  const Attribute& attribute_at(uint32_t i) const { return attributes_[i]; }
  bool cut() const { return cut_; }

 private:
  friend class HtmlParser;
  std::vector<Node> nodes_;  // 0 is the page itself
  std::vector<Attribute> attributes_;
  bool cut_ = false;
};

}  // namespace r1::corpus
