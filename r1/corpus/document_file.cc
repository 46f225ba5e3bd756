#include "r1/corpus/document_file.h"

#include <zstd.h>

#include "r1/base/error.h"
#include "r1/corpus/reader.h"

namespace r1::corpus {
namespace {

// A character of a text is six bytes of JSON at most; the other fields are small against it.
constexpr size_t kMaxDocumentLine = 6 * size_t(kMaxDocumentBytes) + (size_t{16} << 20);

}  // namespace

struct PackedWriter::State {
  explicit State(const fs::path& path) : file(path), context(ZSTD_createCCtx()), out(ZSTD_CStreamOutSize(), '\0') {
    check(context != nullptr, "[zstd] no memory for packing ", path.string());
  }
  ~State() { ZSTD_freeCCtx(context); }

  void pack(std::string_view bytes, ZSTD_EndDirective end) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (true) {
      ZSTD_outBuffer packed{out.data(), out.size(), 0};
      const size_t left = ZSTD_compressStream2(context, &packed, &in, end);
      if (ZSTD_isError(left)) fail("[zstd] ", ZSTD_getErrorName(left));
      file.write(std::string_view(out).substr(0, packed.pos));
      if (end == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }

  AtomicFile file;
  ZSTD_CCtx* context;
  std::string out;
};

PackedWriter::PackedWriter(const fs::path& path, int level) : state_(std::make_unique<State>(path)) {
  ZSTD_CCtx_setParameter(state_->context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(state_->context, ZSTD_c_checksumFlag, 1);
}
PackedWriter::~PackedWriter() = default;

void PackedWriter::write(std::string_view bytes) {
  state_->pack(bytes, ZSTD_e_continue);
}

void PackedWriter::commit() {
  state_->pack({}, ZSTD_e_end);
  state_->file.commit();
}

void DocumentWriter::add(const Document& document) {
  file_.write(dump_json(to_json(document)) + "\n");
}

DocumentReader::DocumentReader(const fs::path& path) : rows_(path, kMaxDocumentLine) {}

bool DocumentReader::next(Document& document) {
  const std::optional<Json> row = rows_.next();
  if (!row) return false;
  document = document_from_json(*row, rows_.where());
  return true;
}

}  // namespace r1::corpus
