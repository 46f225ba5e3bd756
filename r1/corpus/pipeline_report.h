// OUT/report.html of a run: how many documents each stage took and why, what was kept (languages, lengths, domains, kinds, licences), pairs of
// duplicates, and documents to look at, kept and dropped. One page without scripts or anything from elsewhere; texts are escaped.
#pragma once

#include <string>

namespace r1::corpus {

std::string pipeline_report(const std::string& output);
// Writes it, and returns where.
std::string write_pipeline_report(const std::string& output);

}  // namespace r1::corpus
