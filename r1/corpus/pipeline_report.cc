#include "r1/corpus/pipeline_report.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "r1/base/file.h"
#include "r1/base/progress.h"
#include "r1/corpus/pipeline.h"
#include "r1/report/page.h"
#include "r1/report/report.h"

namespace r1::corpus {
namespace {

using report::html_escape;

constexpr const char* kOwnStyle = R"css(
table.plain{border-collapse:collapse;width:100%}
table.plain td,table.plain th{padding:5px 10px;text-align:left;border-top:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}
table.plain td.n,table.plain th.n{text-align:right;white-space:nowrap}
table.plain th{color:var(--soft);font-weight:500;border-top:0}
.box{padding:14px 18px;overflow-x:auto}
.bar{display:block;height:10px;border-radius:3px;background:var(--teal);min-width:1px}
.bar.lost{background:var(--amber)}
.two{grid-template-columns:repeat(auto-fit,minmax(420px,1fr))}
.text{white-space:pre-wrap;overflow-wrap:anywhere;max-height:15em;overflow-y:auto;margin:6px 0 0}
.soft{color:var(--soft)}
svg.lengths{width:100%;height:auto;display:block}
svg.lengths rect{fill:var(--violet)}
svg.lengths text{fill:var(--soft);font:11px system-ui,sans-serif;text-anchor:middle}
)css";

std::string count(int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = int64_t(digits.size()) - 3; at > 0; at -= 3) digits.insert(size_t(at), ",");
  return digits;
}

std::string share(int64_t part, int64_t all) {
  if (all == 0) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100.0 * double(part) / double(all));
  return text;
}

std::string bar(int64_t part, int64_t all, const char* tone = "") {
  char width[32];
  std::snprintf(width, sizeof width, "%.2f", all == 0 ? 0 : 100.0 * double(part) / double(all));
  return std::string("<span class=\"bar ") + tone + "\" style=\"width:" + width + "%\"></span>";
}

std::string cell(const std::string& text) {
  return "<td>" + text + "</td>";
}
std::string number(const std::string& text) {
  return "<td class=\"n\">" + text + "</td>";
}

bool counts_tokens(const RunCounts& run) {
  return std::ranges::any_of(run.stages, [](const auto& stage) { return stage.second.tokens_in() + stage.second.tokens_out() > 0; });
}

// A column that is there where a tokenizer was.
std::string tokens_cell(bool shown, int64_t tokens) {
  return shown ? number(human_count(double(tokens))) : "";
}

std::string funnel(const RunCounts& run) {
  const bool tokens = counts_tokens(run);
  std::string out =
      "<h2>Stages</h2><div class=\"card box\"><table class=\"plain\"><tr><th>stage</th><th class=\"n\">documents out</th>"
      "<th class=\"n\">bytes out</th>" +
      std::string(tokens ? "<th class=\"n\">tokens out</th>" : "") +
      "<th style=\"width:34%\">of what was read</th><th class=\"n\">dropped</th></tr>";
  const int64_t all = run.stages.empty() ? 0 : run.stages[0].second.documents_in();
  for (const auto& [name, c] : run.stages) {
    int64_t dropped = 0;
    for (const auto& [reason, r] : c.dropped()) dropped += r.documents;
    out += "<tr>" + cell(html_escape(name)) + number(count(c.documents_out())) + number(human_bytes(double(c.bytes_out()))) +
           tokens_cell(tokens, c.tokens_out()) + cell(bar(c.documents_out(), std::max(all, c.documents_out()))) +
           number(dropped ? count(dropped) : "") + "</tr>";
  }
  return out + "</table></div>";
}

std::string reasons(const RunCounts& run) {
  const bool tokens = counts_tokens(run);
  std::string rows;
  for (const auto& [name, c] : run.stages) {
    std::vector<std::pair<std::string, Counts::Reason>> all(c.dropped().begin(), c.dropped().end());
    std::ranges::stable_sort(all, [](const auto& a, const auto& b) { return a.second.documents > b.second.documents; });
    for (const auto& [reason, r] : all)
      rows += "<tr>" + cell(html_escape(name)) + cell(html_escape(reason)) + number(count(r.documents)) +
              number(share(r.documents, c.documents_in())) + number(human_bytes(double(r.bytes))) + tokens_cell(tokens, r.tokens) +
              cell("<span class=\"soft\">" + html_escape(r.examples.empty() ? "" : r.examples[0]) + "</span>") + "</tr>";
  }
  if (rows.empty()) return "";
  return "<h2>Why documents went</h2><div class=\"card box\"><table class=\"plain\"><tr><th>stage</th><th>reason</th><th "
         "class=\"n\">documents</th>"
         "<th class=\"n\">of the stage's</th><th class=\"n\">bytes</th>" +
         std::string(tokens ? "<th class=\"n\">tokens</th>" : "") + "<th>the first one</th></tr>" + rows + "</table></div>";
}

std::string amounts(const std::string& title, const std::map<std::string, Survey::Amount>& all, size_t most = 25) {
  std::vector<std::pair<std::string, Survey::Amount>> rows(all.begin(), all.end());
  if (rows.empty() || (rows.size() == 1 && rows[0].first == "?")) return "";
  std::ranges::stable_sort(rows, [](const auto& a, const auto& b) { return a.second.documents > b.second.documents; });
  int64_t documents = 0;
  for (const auto& [name, a] : rows) documents += a.documents;
  std::string out = "<div class=\"card box\"><h3>" + title + "</h3><table class=\"plain\">";
  for (size_t i = 0; i < std::min(most, rows.size()); ++i) {
    const auto& [name, a] = rows[i];
    out += "<tr>" + cell(name == "?" ? "<span class=\"soft\">not known</span>" : html_escape(name.substr(0, 120))) +
           number(count(a.documents)) + number(human_bytes(double(a.bytes))) +
           number(a.tokens ? human_count(double(a.tokens)) + " tokens" : "") + "<td style=\"width:26%\">" + bar(a.documents, documents) +
           "</td></tr>";
  }
  if (rows.size() > most) out += "<tr>" + cell("<span class=\"soft\">and " + count(int64_t(rows.size() - most)) + " more</span>") + "</tr>";
  return out + "</table></div>";
}

std::string histogram(const std::string& title, const std::map<int64_t, int64_t>& lengths) {
  if (lengths.empty()) return "";
  std::vector<std::pair<int64_t, int64_t>> columns;
  for (int64_t at = lengths.begin()->first; at <= lengths.rbegin()->first; at = std::max<int64_t>(1, at * 2)) {
    const auto found = lengths.find(at);
    columns.emplace_back(at, found == lengths.end() ? 0 : found->second);
  }
  int64_t most = 1;
  for (const auto& [at, n] : columns) most = std::max(most, n);
  constexpr int kWidth = 560, kHeight = 150;
  const double step = double(kWidth) / double(columns.size());
  std::string out = "<div class=\"card box\"><h3>" + title + "</h3><svg class=\"lengths\" role=\"img\" aria-label=\"" + title +
                    "\" viewBox=\"0 0 " + std::to_string(kWidth) + " " + std::to_string(kHeight + 34) + "\">";
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto [at, n] = columns[i];
    const double height = double(kHeight) * double(n) / double(most), x = step * double(i);
    char box[400];
    std::snprintf(box, sizeof box,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>from %lld: %lld documents</title></rect>"
                  "<text x=\"%.1f\" y=\"%d\">%s</text><text x=\"%.1f\" y=\"%d\">%s</text>",
                  x + 1, kHeight + 14 - height, std::max(1.0, step - 2), height, static_cast<long long>(at), static_cast<long long>(n),
                  x + step / 2, kHeight + 29, human_count(double(at)).c_str(), x + step / 2, int(kHeight + 10 - height),
                  n ? human_count(double(n)).c_str() : "");
    out += box;
  }
  return out + "</svg></div>";
}

std::string sample_card(const Survey::Sample& s) {
  return "<article class=\"card box\"><b>" + html_escape(s.title.empty() ? s.id : s.title) + "</b><br><span class=\"soft\">" +
         html_escape(s.id) + (s.url.empty() ? "" : " · " + html_escape(s.url)) + (s.part.empty() ? "" : " · " + html_escape(s.part)) +
         "</span><pre class=\"text\">" + html_escape(s.text) + "</pre></article>";
}

std::string duplicates(const Json& examples) {
  if (!examples.is_array() || examples.empty()) return "";
  std::string out = "<h2>Duplicates<small>what went, beside what stays</small></h2>";
  for (const Json& e : examples) {
    const auto side = [&](const char* id, const char* text) {
      return "<div class=\"card box\"><span class=\"soft\">" + html_escape(e.value(id, "")) + "</span><pre class=\"text\">" +
             html_escape(e.value(text, "")) + "</pre></div>";
    };
    out += "<h3>" + html_escape(e.value("stage", "")) + "</h3><div class=\"grid two\">" + side("document", "text") +
           side("stays", "stays_text") + "</div>";
  }
  return out;
}

// Evaluation items that stand in the input, those in most documents first.
std::string evaluation(const Json& items, size_t most = 25) {
  if (items.empty()) return "";
  std::vector<const Json*> all;
  for (const Json& item : items) all.push_back(&item);
  std::ranges::stable_sort(all, [](const Json* a, const Json* b) { return a->at("count") > b->at("count"); });
  std::string out =
      "<h2>Evaluation data<small>items that documents share text with</small></h2><div class=\"card box\"><table class=\"plain\">"
      "<tr><th>item</th><th class=\"n\">documents</th><th>the first one</th><th>what it shares</th></tr>";
  for (size_t i = 0; i < std::min(most, all.size()); ++i) {
    const Json& first = all[i]->at("documents").at(0);
    out += "<tr>" + cell(html_escape(all[i]->value("item", ""))) + number(count(all[i]->value("count", int64_t{0}))) +
           cell("<span class=\"soft\">" + html_escape(first.value("document", "")) + "</span>") +
           cell(html_escape(first.value("text", ""))) + "</tr>";
  }
  if (all.size() > most)
    out += "<tr>" + cell("<span class=\"soft\">and " + count(int64_t(all.size() - most)) + " more, in decontaminate_items.jsonl</span>") +
           "</tr>";
  return out + "</table></div>";
}

std::string tile(const std::string& label, const std::string& value, const std::string& note) {
  return "<div class=\"card tile\"><span>" + label + "</span><b>" + value + "</b><i>" + note + "</i></div>";
}

std::string tiles(const RunCounts& run) {
  const Counts &first = run.stages.front().second, &last = run.stages.back().second;
  int64_t tokens = 0, duplicates = 0;
  for (const auto& [part, a] : run.survey.parts()) tokens += a.tokens;
  for (const auto& [name, c] : run.stages)
    for (const auto& [reason, r] : c.dropped())
      if (reason == "exact" || reason == "near" || reason == "window") duplicates += r.documents;
  std::string out = "<section class=\"grid tiles\">";
  out += tile("read", count(first.documents_in()), human_bytes(double(first.bytes_out())) + " of text");
  out += tile("kept", count(last.documents_out()), share(last.documents_out(), first.documents_in()) + " of the documents");
  out += tile("text kept", human_bytes(double(last.bytes_out())), share(last.bytes_out(), first.bytes_out()) + " of the bytes");
  if (tokens > 0) out += tile("tokens", human_count(double(tokens)), "by the run's tokenizer");
  out += tile("duplicates", count(duplicates), "documents seen before");
  return out + "</section>";
}

}  // namespace

std::string pipeline_report(const std::string& output) {
  const RunCounts run = read_counts(output);
  const Json config = read_run_config(output);
  const Survey& s = run.survey;
  std::string page =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Data "
      "report</title><style>";
  page += std::string(report::kReportStyle) + kOwnStyle + "</style></head><body><main><header><h1>What became of the data</h1><p>";
  for (const Json& name : config.at("input")) page += html_escape(name.get<std::string>()) + " ";
  page += "</p></header>" + tiles(run) + funnel(run) + reasons(run);
  page += "<h2>What was kept</h2><div class=\"grid two\">" + histogram("Characters of a document", s.lengths()) +
          histogram("Tokens of a document", s.token_lengths()) + amounts("Parts", s.parts()) + amounts("Languages", s.languages()) +
          amounts("Kinds", s.kinds()) + amounts("Domains", s.domains()) + amounts("Licences", s.licences()) + "</div>";
  page += duplicates(run.examples);
  page += evaluation(run.items_found);
  page += "<h2>Kept, at random</h2><div class=\"grid two\">";
  for (const Survey::Sample& sample : s.kept_samples()) page += sample_card(sample);
  page += "</div>";
  if (!s.dropped_samples().empty()) page += "<h2>Dropped, at random</h2>";
  for (const auto& [reason, samples] : s.dropped_samples()) {
    page += "<h3>" + html_escape(reason) + "</h3><div class=\"grid two\">";
    for (const Survey::Sample& sample : samples) page += sample_card(sample);
    page += "</div>";
  }
  page += "<h2>Options</h2><div class=\"card box\"><details><summary>as they were</summary><pre class=\"text\">" +
          html_escape(dump_json(config, 1)) + "</pre></details></div>";
  return page + "</main></body></html>\n";
}

std::string write_pipeline_report(const std::string& output) {
  const fs::path path = fs::path(output) / "report.html";
  write_file_atomic(path, pipeline_report(output));
  return path.string();
}

}  // namespace r1::corpus
