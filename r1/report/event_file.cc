#include "r1/report/event_file.h"

#include <array>
#include <bit>
#include <cstring>

namespace r1::report {
namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t x = i;
    for (int bit = 0; bit < 8; ++bit) x = x & 1 ? x >> 1 ^ 0x82F63B78u : x >> 1;
    table[i] = x;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return std::rotr(crc, 15) + 0xA282EAD8u;
}

// Protocol buffer wire types.
enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t x) {
  for (; x >= 0x80; x >>= 7) out += char(x | 0x80);
  out += char(x);
}
void put_key(std::string& out, int field, Wire wire) {
  put_varint(out, uint64_t(field) << 3 | wire);
}
template <class T>
void put_fixed(std::string& out, T x) {
  out.append(reinterpret_cast<const char*>(&x), sizeof x);
}
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}
void put_int(std::string& out, int field, uint64_t x) {
  put_key(out, field, kVarint);
  put_varint(out, x);
}

// TensorProto{dtype: DT_STRING, tensor_shape{dim{size: 1}}, string_val: text}
std::string text_tensor(std::string_view text) {
  std::string dim, shape, tensor;
  put_int(dim, 1, 1);
  put_bytes(shape, 2, dim);
  put_int(tensor, 1, 7);
  put_bytes(tensor, 2, shape);
  put_bytes(tensor, 8, text);
  return tensor;
}

// SummaryMetadata{plugin_data{plugin_name: "text"}}
std::string text_metadata() {
  std::string plugin, metadata;
  put_bytes(plugin, 1, "text");
  put_bytes(metadata, 1, plugin);
  return metadata;
}

std::string encode_value(const Event& event) {
  std::string value;
  put_bytes(value, 1, event.tag);
  if (event.scalar) {
    put_key(value, 2, kFixed32);
    put_fixed(value, *event.scalar);
  }
  if (event.text) {
    put_bytes(value, 8, text_tensor(*event.text));
    put_bytes(value, 9, text_metadata());
  }
  return value;
}

// A walk over the fields of one message; stops, with ok() false, at anything that does not fit.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}

  bool next() {
    uint64_t key = 0;
    if (rest_.empty() || !(ok_ = varint(key))) return false;
    field = int(key >> 3);
    switch (key & 7) {
      case kVarint:
        return ok_ = varint(number);
      case kFixed64:
        return ok_ = take(8);
      case kFixed32:
        return ok_ = take(4);
      case kBytes:
        return ok_ = varint(number) && take(number);
      default:
        return ok_ = false;
    }
  }
  bool ok() const { return ok_; }
  template <class T>
  T fixed() const {
    T x{};
    if (bytes.size() == sizeof x) std::memcpy(&x, bytes.data(), sizeof x);
    return x;
  }

  int field = 0;
  uint64_t number = 0;
  std::string_view bytes;

 private:
  bool varint(uint64_t& x) {
    x = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const uint8_t byte = uint8_t(rest_[0]);
      rest_.remove_prefix(1);
      x |= uint64_t(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool take(uint64_t n) {
    if (n > rest_.size()) return false;
    bytes = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return true;
  }
  std::string_view rest_;
  bool ok_ = true;
};

void decode_value(std::string_view bytes, Event& event) {
  for (Fields f(bytes); f.next();) {
    if (f.field == 1) event.tag = f.bytes;
    if (f.field == 2) event.scalar = f.fixed<float>();
    if (f.field != 8) continue;
    for (Fields tensor(f.bytes); tensor.next();) {
      if (tensor.field == 8) event.text = std::string(tensor.bytes);
    }
  }
}

bool decode_event(std::string_view bytes, Event& event) {
  Fields f(bytes);
  while (f.next()) {
    if (f.field == 1) event.wall_time = f.fixed<double>();
    if (f.field == 2) event.step = int64_t(f.number);
    if (f.field == 3) event.file_version = f.bytes;
    if (f.field != 5) continue;
    for (Fields summary(f.bytes); summary.next();) {
      if (summary.field == 1) decode_value(summary.bytes, event);
    }
  }
  return f.ok();
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (char c : bytes) crc = crc >> 8 ^ kCrcTable[(crc ^ uint8_t(c)) & 0xFF];
  return ~crc;
}

std::string encode_record(std::string_view payload) {
  std::string record;
  put_fixed(record, uint64_t(payload.size()));
  put_fixed(record, masked_crc(record));
  record += payload;
  put_fixed(record, masked_crc(payload));
  return record;
}

std::string encode_event(const Event& event) {
  std::string out;
  put_key(out, 1, kFixed64);
  put_fixed(out, event.wall_time);
  put_int(out, 2, uint64_t(event.step));
  if (!event.file_version.empty()) put_bytes(out, 3, event.file_version);
  if (event.scalar || event.text) {
    std::string summary;
    put_bytes(summary, 1, encode_value(event));
    put_bytes(out, 5, summary);
  }
  return encode_record(out);
}

std::vector<EventRecord> decode_events(std::string_view file) {
  std::vector<EventRecord> records;
  while (file.size() >= 16) {
    uint64_t size = 0;
    uint32_t crc = 0;
    std::memcpy(&size, file.data(), 8);
    std::memcpy(&crc, file.data() + 8, 4);
    if (crc != masked_crc(file.substr(0, 8)) || size > file.size() - 16) break;
    const std::string_view payload = file.substr(12, size);
    std::memcpy(&crc, file.data() + 12 + size, 4);
    EventRecord record{.frame = file.substr(0, size + 16)};
    if (crc != masked_crc(payload) || !decode_event(payload, record.event)) break;
    records.push_back(std::move(record));
    file.remove_prefix(size + 16);
  }
  return records;
}

}  // namespace r1::report
