// Prints an example of every document as this version writes it, for tests/formats/VERSION/documents.jsonl.
#include <iostream>
#include <nlohmann/json.hpp>

#include "tests/formats/formats.hpp"

int main() {
  for (const imgrec::test::Format& format : imgrec::test::formats()) {
    std::cout << nlohmann::ordered_json{{"format", format.name}, {"text", format.example}}.dump() << '\n';
  }
}
