// TensorBoard's event files, written and read back without TensorFlow: TFRecord framing (length, masked CRC32C, bytes, masked CRC32C)
// around hand-coded protocol buffers. Scalars and text only. Formats: tensorflow/core/lib/io/record_writer.h,
// tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace r1::report {

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version;  // the first record: "brain.Event:2"
  std::string tag;           // scalars and text
  std::optional<float> scalar;
  std::optional<std::string> text;
};

// CRC-32C (Castagnoli, RFC 3720 B.4).
uint32_t crc32c(std::string_view bytes);

// One framed record.
std::string encode_record(std::string_view payload);
std::string encode_event(const Event& event);

struct EventRecord {
  Event event;
  std::string_view frame;  // the record's bytes inside the file
};
// All whole records; stops at the first torn or damaged one (a run killed while writing). Never throws on bad bytes.
std::vector<EventRecord> decode_events(std::string_view file);

}  // namespace r1::report
