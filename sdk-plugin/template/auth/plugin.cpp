// An auth provider for Weir. Replace the one shared word by what you know your clients by. An answer may come later: move
// the Answer into a callback or to another thread.
#include <string>
#include <utility>

#include "weir/sdk/plugin.hpp"

namespace {

using namespace weir::sdk;

constexpr const char* kManifest = R"({
  "kinds": ["auth"],
  "summary": "Lets in whoever knows the word.",
  "config_schema": {
    "type": "object",
    "required": ["word"],
    "properties": {
      "word":   {"type": "string", "minLength": 8, "x-secret": true, "description": "what a client must know"},
      "scopes": {"type": "array", "items": {"type": "string"}, "default": [], "description": "what it may do then"}
    }
  }
})";

// Takes as long for a wrong word as for the right one, so that nobody can feel their way.
bool same(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i % b.size()]);
  return difference == 0;
}

class @CLASS@ final : public AuthProvider {
 public:
  @CLASS@(Host host, const json::Value& config)
      : host_(std::move(host)), word_(config.required("word").as_string()), scopes_(config.strings_or("scopes", {})) {
    if (word_.size() < 8) throw Failure(WEIR_E_CONFIG, "word has fewer than 8 bytes", "/word");
  }

  void authenticate(const AuthRequest& request, Answer answer) override {
    auto word = request.token();  // of an `auth` frame
    if (!word) word = request.bearer();
    if (!word) return answer.no_credential();  // nothing for us: the next provider is asked
    if (!same(*word, word_)) return answer.unauthorized("that is not the word");
    answer.allow({.subject = "friend", .scopes = scopes_});
  }

 private:
  Host host_;
  const std::string word_;
  const std::vector<std::string> scopes_;
};

}  // namespace

WEIR_PLUGIN("@NAME@", "0.1.0", kManifest, @CLASS@);
