#include "r1/plan/gpu_cards.h"

#include <cctype>

#include "r1/base/config_io.h"
#include "r1/base/error.h"

namespace r1::plan {

// From what out-of-memory reports of public bug threads give as total capacity, the lower where they differ by driver.
const std::vector<GpuCard>& gpu_cards() {
  static const std::vector<GpuCard> all = {
      {"t4", "T4", 16, 14.5},
      {"p100", "P100", 16, 15.8},
      {"v100-16gb", "V100 16 GB", 16, 15.7},
      {"v100", "V100 32 GB", 32, 31.7},
      {"rtx2080ti", "RTX 2080 Ti", 11, 10.7},
      {"rtx3060", "RTX 3060", 12, 11.6},
      {"rtx3080", "RTX 3080", 10, 9.6},
      {"rtx3090", "RTX 3090", 24, 23.6},
      {"rtx4060ti", "RTX 4060 Ti", 16, 15.6},
      {"rtx4070", "RTX 4070", 12, 11.6},
      {"rtx4080", "RTX 4080", 16, 15.6},
      {"rtx4090", "RTX 4090", 24, 23.5},
      {"rtx5080", "RTX 5080", 16, 15.5},
      {"rtx5090", "RTX 5090", 32, 31.3},
      {"a10", "A10", 24, 22.0},
      {"a10g", "A10G", 24, 22.0},
      {"l4", "L4", 24, 22.0},
      {"a30", "A30", 24, 23.5},
      {"a40", "A40", 48, 44.3},
      {"a6000", "RTX A6000", 48, 47.4},
      {"rtx6000ada", "RTX 6000 Ada", 48, 47.4},
      {"l40s", "L40S", 48, 44.3},
      {"a100-40gb", "A100 40 GB", 40, 39.3},
      {"a100", "A100 80 GB", 80, 79.1},
      {"h100", "H100", 80, 79.1},
      {"h100-96gb", "H100 96 GB", 96, 95.0},
      {"h800", "H800", 80, 79.1},
      {"h100nvl", "H100 NVL", 94, 93.0},
      {"gh200", "GH200", 96, 94.5},
      {"h20", "H20", 96, 95.0},
      {"h200", "H200", 141, 139.7},
      {"b200", "B200", 180, 178.3},
  };
  return all;
}

namespace {

// "NVIDIA RTX 4090" and "rtx-4090" are "4090": letters and digits, without the maker's words.
std::string plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c))) out += char(std::tolower(static_cast<unsigned char>(c)));
  }
  for (const char* word : {"nvidia", "geforce", "tesla", "rtx"}) {
    if (const size_t at = out.find(word); at != std::string::npos) out.erase(at, std::string_view(word).size());
  }
  return out;
}

}  // namespace

const GpuCard& gpu_card(std::string_view name) {
  const std::string wanted = plain(name);
  std::vector<std::string> names;
  for (const GpuCard& card : gpu_cards()) {
    const std::string known = plain(card.name);
    if (wanted == known || wanted == known + std::to_string(card.sold_gb) + "gb" || wanted == known + std::to_string(card.sold_gb))
      return card;
    names.push_back(card.name);
  }
  std::string all;
  for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
  fail_usage("--gpu: unknown card '", printable(name), "'", did_you_mean(name, names), " (known: ", all, "; of another give --memory)");
}

}  // namespace r1::plan
