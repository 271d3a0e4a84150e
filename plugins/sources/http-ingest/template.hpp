// Texts with places that a request and one of its events fill.
//   {path} {path:2} {path:-1}   the path behind the endpoint's, or one part of it
//   {header:Name} {query:name}  of the request
//   {ce:name}                   an attribute of a CloudEvent
//   {data:/a/0}                 a string, number or boolean at this JSON pointer in the event's data
// Threads: [strand].
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "draft.hpp"
#include "weir/sdk/http.hpp"
#include "weir/sdk/json.hpp"

namespace weir::http_ingest {

// The path behind the endpoint's own, without the slashes around it.
std::string_view inner_path(const sdk::HttpRequest& request);

class Template {
 public:
  // Errors: Failure(WEIR_E_CONFIG) that names the value.
  explicit Template(const sdk::json::Value& text);
  // False, when a place is empty.
  bool fill(std::string& out, const sdk::HttpRequest& request, const Draft& draft) const;
  // Whether it may differ between the events of one request.
  bool per_event() const;

 private:
  enum class What : std::uint8_t { text, path, part, header, query, attribute, data };
  struct Part {
    What what;
    std::string text;
    int number = 0;
  };
  std::vector<Part> parts_;
};

// Several templates, of which the first one counts that can be filled.
class Templates {
 public:
  Templates() = default;
  // A text, or a list of them.
  explicit Templates(const sdk::json::Value& texts);
  // Null, and `out` is empty, when none can be filled.
  const Template* fill(std::string& out, const sdk::HttpRequest& request, const Draft& draft) const;

 private:
  std::vector<Template> templates_;
};

}  // namespace weir::http_ingest
