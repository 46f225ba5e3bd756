// Personal data in text, masked: mail addresses, telephone numbers, IP addresses, card numbers, IBANs. One pass over the bytes, which stops
// only at '@', digits, '+', '(', hexadecimal words with colons and capitals followed by digits; every candidate is then checked as
// what it claims to be (Luhn and issuers' prefixes and lengths, ISO 13616's check digits and lengths, octets, groups, national formats), so
// that dates, ISBNs, versions, sections, times and serial numbers stay.
//
// Leaves out: names, postal addresses, numbers in words, mail addresses with letters beyond ASCII, full-width digits, IBANs in small letters.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "r1/corpus/stage.h"

namespace r1::corpus {

enum class Pii : uint8_t { kMail, kPhone, kIp, kCard, kIban, kCount };
inline constexpr size_t kPiiKinds = size_t(Pii::kCount);
std::string_view name_of(Pii kind);  // "mail", "phone", "ip", "card", "iban"

struct PiiOptions {
  std::array<bool, kPiiKinds> mask = {true, true, true, true, true};
  std::array<std::string, kPiiKinds> placeholder = {"<EMAIL>", "<PHONE>", "<IP_ADDRESS>", "<CARD_NUMBER>", "<IBAN>"};
  bool private_addresses = false;  // also those of private, loopback, link-local and documentation networks
};

// "mail,ip" as PiiOptions::mask; kUsage for a name that is none.
std::array<bool, kPiiKinds> pii_kinds(std::string_view list);

struct PiiCounts {
  std::array<int64_t, kPiiKinds> masked{};
  int64_t total() const;
};

std::string mask_pii(std::string_view text, const PiiOptions& options, PiiCounts& counts);

// Masks a document's text, title and author, the texts of `extra` (messages among them), and mail addresses in its URL. Marks one that changed with
// "pii:mail=2,phone=1", of all of these together.
std::unique_ptr<Filter> pii_filter(PiiOptions options = {});

// The checks by themselves. Digits only; the letters of an IBAN in capitals, no blanks.
bool is_card_number(std::string_view digits);
bool is_iban(std::string_view iban);

}  // namespace r1::corpus
