// What libr1_parquet.so (r1/plugins/parquet.cc) and the program say to each other: plain C, so that neither need know the other's compiler, and
// no exception crosses. The program links no Arrow; table_file.h is the other side.
//
// A table gives its rows as the texts of JSON objects. What JSON has no form for: dates, times, durations as ISO 8601 texts (a timestamp with a
// time zone in UTC, with Z), decimals as texts with all their digits, numbers that are none (NaN, infinities) as null, maps whose keys are texts
// as objects (other maps as lists of [key, value]), UUIDs as texts, bytes that are UTF-8 as texts.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { R1_TABLE_VERSION = 2 };

// Forms of a file.
enum { R1_TABLE_PARQUET = 0, R1_TABLE_ARROW = 1 };

// What next() returns.
enum {
  R1_TABLE_END = 0,
  R1_TABLE_ROW = 1,
  R1_TABLE_BAD_ROW = 2,  // error() says why; the next call gives the row after it
  R1_TABLE_FAILED = -1,  // error() says why; nothing more comes
};

struct R1TablePlugin {
  int32_t version;  // R1_TABLE_VERSION of when it was built; the rest is only looked at if that is the program's
  // Null: `error` has a text. `keep_bytes` 1: a value that is bytes and no UTF-8 makes its row a bad one; 0: such a value is null.
  void* (*open)(const char* path, int32_t form, int32_t keep_bytes, char* error, size_t error_size);
  // Names of columns, each followed by '\n'.
  const char* (*columns)(void* table);
  // "<rows> <bytes>\n" of each of its row groups or record batches, which can be read apart, bytes as stored (of batches about); "" if it has none (an
  // Arrow stream) or they cannot be had.
  const char* (*groups)(void* table);
  // From the next row on only these columns; 0 if the table lacks one of them, and then nothing changes.
  int32_t (*select)(void* table, const char* const* names, size_t count);
  // The row's text, until the next call. A row whose text would be longer than `most` bytes is a bad one.
  int32_t (*next)(void* table, size_t most, const char** row, size_t* size);
  // The next row is row number `row` (from 0). 0 if that failed.
  int32_t (*seek)(void* table, int64_t row);
  const char* (*error)(void* table);
  void (*close)(void* table);
};

// The one symbol of the library.
#define R1_TABLE_SYMBOL "r1_table_plugin"
typedef const struct R1TablePlugin* (*R1TableEntry)(void);
