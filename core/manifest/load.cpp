#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <tuple>

#include "base/assert.hpp"
#include "base/secrets.hpp"
#include "manifest/build.hpp"
#include "manifest/manifest.hpp"
#include "manifest/overrides.hpp"
#include "manifest/read.hpp"
#include "manifest/schema.hpp"
#include "manifest/text.hpp"
#include "manifest/values.hpp"

namespace weir {
namespace {

const Schema& structure() {
  static const Schema schema = [] {
    auto parsed = Schema::parse(manifest_schema());
    if (!parsed) std::fprintf(stderr, "manifest.schema.json: %s\n", parsed.error().message.c_str());
    WEIR_ASSERT(parsed.has_value());
    return *parsed;
  }();
  return schema;
}

void sort_by_place(std::vector<tree::Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const auto& a, const auto& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
}

// A value whose variable is not set is wrong in more ways, all with one remedy: only the first is told.
void forget_followers(std::vector<tree::Problem>& problems, std::size_t from, const std::vector<tree::Problem>& unset) {
  const auto follows = [&unset](const tree::Problem& p) {
    return p.place.line != 0 && std::any_of(unset.begin(), unset.end(), [&p](const tree::Problem& u) {
             return std::tie(u.place.line, u.place.column) == std::tie(p.place.line, p.place.column);
           });
  };
  const auto first = problems.begin() + static_cast<std::ptrdiff_t>(from + unset.size());
  problems.erase(std::remove_if(first, problems.end(), follows), problems.end());
}

// Who may use the HTTP API: as written, else whoever the endpoints ask, each once.
std::vector<std::string> api_auth(const tree::Node& root, const std::vector<EndpointEntry>& endpoints) {
  const auto* api = manifest::member(root, "api", tree::Node::Kind::object);
  if (api != nullptr && api->find("auth") != nullptr) return manifest::texts_of(*api, "auth");
  std::vector<std::string> out;
  for (const auto& endpoint : endpoints)
    for (const auto& name : endpoint.auth)
      if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  return out;
}

}  // namespace

LoadResult parse_manifest(const std::string& name, std::string_view text, const LoadOptions& options) {
  manifest::Findings found;
  LoadResult result;
  const bool json = name.size() >= 5 && name.compare(name.size() - 5, 5, ".json") == 0;
  auto root = json ? tree::read_json(name, text, found.problems) : tree::read_toml(name, text, found.problems);
  if (root) {
    manifest::apply_overrides(*root, options.set, found.problems);
    const auto before = found.problems.size();
    const tree::Node* listen = root->find("listen");  // an address is no secret, and the log has it
    tree::expand_environment(*root, tree::process_environment(), found.problems,
                             [listen](const tree::Node& node, std::string_view value, std::string_view variable) {
                               if (&node != listen) secrets::know(value, "${" + std::string(variable) + "}");
                             });
    const std::vector<tree::Problem> unset(found.problems.begin() + static_cast<std::ptrdiff_t>(before),
                                           found.problems.end());
    structure().check(*root, "", found.problems);
    structure().fill_defaults(*root);
    structure().resolve_paths(*root, manifest::folder_of(name));
    Manifest manifest = manifest::build(*root, name, options, found);
    manifest.api_auth = api_auth(*root, manifest.endpoints);
    if (const auto* api = manifest::member(*root, "api", tree::Node::Kind::object))
      manifest.admin_scope = manifest::text_of(*api, "admin_scope");
    manifest::cross_check(manifest, *root, found);
    forget_followers(found.problems, before, unset);
    (found.problems.empty() ? result.manifest : result.draft) = std::move(manifest);
  }
  result.problems = std::move(found.problems);
  result.warnings = std::move(found.warnings);
  sort_by_place(result.problems);
  sort_by_place(result.warnings);
  return result;
}

LoadResult load_manifest(const std::string& file, const LoadOptions& options) {
  const auto unreadable = [&file](const std::string& why) {
    LoadResult result;
    result.problems.push_back({{file, 0, 0}, why});
    return result;
  };
  std::error_code ec;
  const auto status = std::filesystem::status(file, ec);
  if (!std::filesystem::exists(status))
    return unreadable("there is no such file; say the path of a manifest, such as hub.toml");
  if (std::filesystem::is_directory(status))
    return unreadable("this is a folder; say the path of a manifest in it, such as " + file + "/hub.toml");
  // To open a pipe that nobody writes into would wait for ever; one that the shell has opened already is all right.
  const bool handed_over = file == "/dev/stdin" || file.starts_with("/dev/fd/") || file.starts_with("/proc/self/fd/");
  if (!std::filesystem::is_regular_file(status) && !handed_over)
    return unreadable("this is no file but a pipe, a socket or a device; say the path of a manifest, or /dev/stdin");
  std::ifstream in(file, std::ios::binary);
  if (!in) return unreadable("the file can't be opened; may this user read it?");
  std::string text(tree::kTextBytesMax + 1,
                   '\0');  // one more than allowed, so that the reader notices; and no endless device
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) return unreadable("the file can't be read");
  return parse_manifest(file, text, options);
}

}  // namespace weir
