// How good and how fast is the text of pages? Writes {page: text} for all pages of a folder (*.html or *.html.gz), then one JSON object a
// line: pages and megabytes a second of one thread, pages read from memory, best of --repeats. bench/peers/trafilatura_html.py runs this and
// trafilatura in turn on the same pages and compares both with the known texts.
//   bench_html_notorch FOLDER [--texts FILE] [--repeats 5]
#include <algorithm>
#include <ctime>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/corpus/html.h"
#include "r1/data/byte_source.h"

namespace {

std::string read_whole(const std::filesystem::path& path) {
  r1::data::ByteSource source(path);
  std::string all;
  std::string piece(1 << 16, '\0');
  while (const size_t n = source.read(piece.data(), piece.size(), 0)) all.append(piece, 0, n);
  return all;
}

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

void run(const r1::bench::Arguments& arguments) {
  if (arguments.words().empty()) r1::fail_usage("bench_html_notorch FOLDER: of *.html or *.html.gz");
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(arguments.words()[0]))
    if (entry.path().filename().string().find(".html") != std::string::npos) paths.push_back(entry.path());
  r1::check(!paths.empty(), arguments.words()[0], ": no *.html");
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> pages;
  double bytes = 0;
  for (const auto& path : paths) {
    pages.push_back(read_whole(path));
    bytes += double(pages.back().size());
  }
  double best = 1e30;
  r1::Json texts = r1::Json::object();
  for (int64_t i = 0; i < arguments.number("repeats"); ++i) {
    std::vector<r1::corpus::HtmlPage> read(pages.size());
    const double begin = cpu_seconds();
    for (size_t p = 0; p < pages.size(); ++p) read[p] = r1::corpus::read_html(pages[p]);
    best = std::min(best, cpu_seconds() - begin);
    if (i == 0)
      for (size_t p = 0; p < pages.size(); ++p) {
        const std::string name = paths[p].filename().string();
        texts[name.substr(0, name.find('.'))] = read[p].text;
      }
  }
  if (!arguments.text("texts").empty()) r1::write_file_atomic(arguments.text("texts"), r1::dump_json(texts));
  r1::Json line = {
      {"bench", "html"}, {"pages", pages.size()}, {"pages_per_s", double(pages.size()) / best}, {"mb_per_s", bytes / best / 1e6}};
  r1::bench::print(line);
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {{"texts", ""}, {"repeats", "5"}}, 1}); });
}
