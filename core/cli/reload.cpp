// `weir reload`.
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "manifest/manifest.hpp"
#include "net/http_call.hpp"
#include "server/setup.hpp"

namespace weir::cli {
namespace {

using Json = nlohmann::json;

// Where the hub listens: given, or what its manifest says. Empty: that has been complained about.
net::HttpCall where(const ReloadOptions& options) {
  net::HttpCall call;
  std::string at = options.at;
  if (at.empty()) {
    LoadOptions load;
    load.scripts_folder = own_scripts_folder();
    LoadResult loaded = load_manifest(options.manifest, load);
    // What is wrong with it the hub will say; an address is all that is needed here.
    const auto& manifest = loaded.manifest ? loaded.manifest : loaded.draft;
    if (!manifest) {
      for (const auto& p : loaded.problems) std::fprintf(stderr, "%s\n", p.text().c_str());
      return call;
    }
    call.host = manifest->listen_host;
    call.port = manifest->listen_port;
    if (call.host == "0.0.0.0") call.host = "127.0.0.1";
    if (call.host == "::") call.host = "::1";
    return call;
  }
  if (at.starts_with("http://")) at.erase(0, 7);
  while (!at.empty() && at.back() == '/') at.pop_back();
  const auto colon = at.rfind(':');
  char* end = nullptr;
  const unsigned long port = colon == std::string::npos ? 0 : std::strtoul(at.c_str() + colon + 1, &end, 10);
  if (end == nullptr || *end != '\0' || port == 0 || port > 65535) {
    std::fprintf(stderr, "weir reload: --at %s: expected ADDRESS:PORT, such as 127.0.0.1:8080\n", at.c_str());
    return call;
  }
  call.host = at.substr(0, colon);
  if (call.host.size() > 2 && call.host.front() == '[') call.host = call.host.substr(1, call.host.size() - 2);
  call.port = static_cast<std::uint16_t>(port);
  return call;
}

void print(std::FILE* to, const Json& report, const char* name, const char* before) {
  const auto found = report.find(name);
  if (found == report.end() || !found->is_array()) return;
  for (const Json& text : *found)
    if (text.is_string()) std::fprintf(to, "%s%s\n", before, text.get_ref<const std::string&>().c_str());
}

}  // namespace

int reload(const ReloadOptions& options) {
  if (options.manifest.empty() && options.at.empty()) {
    std::fprintf(stderr, "weir reload: which hub? weir reload hub.toml, or weir reload --at 127.0.0.1:8080\n");
    return 1;
  }
  net::HttpCall call = where(options);
  if (call.host.empty()) return 1;
  call.method = "POST";
  call.target = "/api/v1/reload";
  std::string key = options.key;
  if (const char* from_environment = std::getenv("WEIR_KEY"); key.empty() && from_environment != nullptr)
    key = from_environment;
  if (!key.empty()) call.headers.emplace_back("authorization", "Bearer " + key);
  const auto reply = net::http_call(call);
  if (!reply) {
    std::fprintf(stderr, "weir reload: %s\n", reply.error().message.c_str());
    return 1;
  }
  if (options.json) std::printf("%s\n", reply->body.c_str());
  const Json report = Json::parse(reply->body, nullptr, false);
  const bool done = reply->status == 200;
  if (options.json) return done ? 0 : reply->status == 422 ? 2 : 1;
  if (!report.is_object() || !report.contains("reloaded")) {
    const auto message = report.is_object() ? report.value(Json::json_pointer("/error/message"), std::string()) : "";
    std::fprintf(stderr, "weir reload: the hub answered %d%s%s\n", reply->status, message.empty() ? "" : ": ",
                 message.c_str());
    if (reply->status == 401 || reply->status == 403)
      std::fprintf(stderr, "give an administrator's key with --key, or in WEIR_KEY\n");
    return 1;
  }
  print(stderr, report, "warnings", "warning: ");
  print(stderr, report, "problems", "");
  if (!done) {
    std::fprintf(stderr, "nothing was changed; the hub goes on as it was\n");
    return 2;
  }
  print(stdout, report, "changed", "");
  print(stderr, report, "restart", "warning: ");
  std::printf("%s\n", report["changed"].empty() ? "nothing has changed" : "reloaded");
  return 0;
}

}  // namespace weir::cli
