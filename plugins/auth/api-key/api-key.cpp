// An auth provider with a file of hashed API keys. The file is read when the instance is made, so that `weir check`
// finds what is wrong in it, and again when it changes; keys that left or changed are revoked on live connections; a
// file that can't be read then leaves the keys as they were and says so in the state.
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "key_ring.hpp"
#include "weir/sdk/plugin.hpp"

namespace {

using namespace weir::sdk;
using weir::api_key::Entry;
using weir::api_key::KeyRing;

constexpr std::int64_t kFileBytesMax = 64 << 20;
constexpr std::uint64_t kPollMs = 2000;  // for file systems on which inotify sees nothing (network mounts)
constexpr std::size_t kKeyBytesMax = 1024;

constexpr const char* kManifest = R"({
  "kinds": ["auth"],
  "summary": "API keys from a file of salted hashes, with scopes, limits, expiry and live revocation.",
  "config_schema": {
    "type": "object",
    "required": ["file"],
    "properties": {
      "file": {"type": "string", "minLength": 1, "x-path": true, "description": "the file of keys"},
      "header": {"type": "string", "minLength": 1, "default": "x-api-key", "description": "header that carries the key, besides Authorization: Bearer"},
      "query": {"type": "string", "default": "api_key", "description": "query parameter that carries the key, for browsers; empty: none"},
      "connections_max": {"type": "integer", "minimum": 0, "default": 0, "description": "open connections per key, where the file says nothing; 0: no limit"}
    }
  }
})";

// What tells one version of a file from the next without reading it.
struct Signature {
  std::int64_t seconds = 0, nanoseconds = 0, size = -1;
  std::uint64_t inode = 0;
  bool operator==(const Signature&) const = default;
};

Signature look_at(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, info.st_ino};
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return text;
}

// A JSON Web Token: that is another provider's business.
bool looks_like_jwt(std::string_view text) {
  return text.starts_with("eyJ") && text.find('.') != std::string_view::npos;
}

class ApiKeys final : public AuthProvider {
 public:
  ApiKeys(Host host, const json::Value& config)
      : host_(std::move(host)),
        file_(config.required("file").as_string()),
        header_(lower(config.string_or("header", "x-api-key"))),
        query_(config.string_or("query", "api_key")),
        connections_max_(config.integer_or("connections_max", 0)) {
    if (connections_max_ < 0)
      throw config.required("connections_max").wrong("0 (no limit) or more", std::to_string(connections_max_));
    signature_ = look_at(file_);  // first: a change while it is read is seen as one
    ring_ = std::make_unique<KeyRing>(read());
  }
  ~ApiKeys() override {
    watch_.end();
    if (inotify_ >= 0) ::close(inotify_);
  }

  void start() override {
    watch_folder();
    poll_.start(host_, kPollMs, kPollMs, [this] { check(); });
    running();
    check();
  }

  void stop() override {
    poll_.cancel();
    watch_.end();
  }

  void authenticate(const AuthRequest& request, Answer answer) override {
    const auto [key, certain] = credential(request);
    if (!key) return answer.no_credential();
    const Entry* entry = key->size() <= kKeyBytesMax ? ring_->find(*key) : nullptr;
    if (entry == nullptr && !certain) return answer.no_credential();
    if (entry == nullptr) return answer.unauthorized("the API key is not valid");
    if (entry->disabled) return answer.unauthorized("the API key is disabled");
    if (entry->identity.expires_at_ms != 0 && entry->identity.expires_at_ms <= host_.now_ms())
      return answer.unauthorized("the API key has expired");
    answer.allow(entry->identity);
  }

 private:
  // The key in the request, and whether it can be nothing but an API key.
  std::pair<std::optional<std::string>, bool> credential(const AuthRequest& request) const {
    if (auto token = request.token()) return {token, !looks_like_jwt(*token)};
    if (auto value = request.header(header_)) return {value, true};
    if (auto bearer = request.bearer()) return {bearer, !looks_like_jwt(*bearer)};
    if (!query_.empty())
      if (auto value = request.query(query_)) return {value, true};
    return {std::nullopt, false};
  }

  KeyRing read() const {
    std::ifstream in(file_, std::ios::binary);
    if (!in)
      throw Failure(WEIR_E_CONFIG, "the file of API keys " + file_ + " can't be opened: " + std::strerror(errno),
                    "/file");
    if (const auto size = look_at(file_).size; size > kFileBytesMax)
      throw Failure(WEIR_E_CONFIG, file_ + " has " + std::to_string(size) + " bytes; 64 MiB are allowed", "/file");
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    try {
      return KeyRing::parse(text, connections_max_);
    } catch (const Failure& f) {
      throw Failure(WEIR_E_CONFIG, file_ + ": " + f.what(), "/file");
    }
  }

  // The folder, not the file: editors and deployments replace a file by another one of the same name.
  void watch_folder() {
    const std::size_t slash = file_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : file_.substr(0, slash);
    inotify_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (inotify_ < 0 ||
        ::inotify_add_watch(inotify_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0)
      return host_.info("the folder of the API keys can't be watched; the file is looked at every 2 s");
    watch_.start(host_, inotify_, WEIR_WATCH_READ, [this](std::uint32_t) {
      std::array<char, 4096> events;
      while (::read(inotify_, events.data(), events.size()) > 0) {
      }
      check();
    });
  }

  void check() {
    const Signature now = look_at(file_);
    if (now == signature_) return;
    signature_ = now;
    try {
      replace(std::make_unique<KeyRing>(read()));
    } catch (const std::exception& e) {
      host_.state(State::degraded, std::string(e.what()) + "; the keys from before stay in force");
    }
  }

  void replace(std::unique_ptr<KeyRing> fresh) {
    const std::unique_ptr<KeyRing> old = std::exchange(ring_, std::move(fresh));
    for (const Entry& was : old->entries()) {
      const Entry* is = ring_->by_id(was.identity.key);
      if (was.disabled ||
          (is != nullptr && is->text == was.text && is->identity.connections_max == was.identity.connections_max))
        continue;
      host_.revoke(was.identity.key, is == nullptr  ? "the API key was removed"
                                     : is->disabled ? "the API key was disabled"
                                                    : "the API key was changed");
    }
    host_.info("the API keys were read again");
    running();
  }

  void running() {
    host_.metric("keys", static_cast<double>(ring_->entries().size()));
    host_.state(State::running);
  }

  Host host_;
  const std::string file_, header_, query_;
  const std::int64_t connections_max_;
  std::unique_ptr<KeyRing> ring_;
  Signature signature_;
  int inotify_ = -1;
  FdWatch watch_;
  Timer poll_;
};

}  // namespace

WEIR_PLUGIN("api-key", "1.0.0", kManifest, ApiKeys);
