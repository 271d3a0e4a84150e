#include "plugin_host/scaffold.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace weir {
namespace {

void replace(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

// "my-source" -> "MySource".
std::string class_name(std::string_view name) {
  std::string out;
  bool up = true;
  for (const char c : name) {
    if (c != '-') out += up && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    up = c == '-';
  }
  return out;
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.front() >= 'a' && name.front() <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace

std::vector<std::string> template_kinds() {
  std::vector<std::string> out;
  for (const TemplateFile& file : plugin_templates())
    if (std::find(out.begin(), out.end(), file.kind) == out.end()) out.emplace_back(file.kind);
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::vector<std::string>> scaffold_plugin(std::string_view kind, std::string_view name, std::string folder) {
  namespace fs = std::filesystem;
  const auto kinds = template_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    std::string all;
    for (const auto& k : kinds) all += (all.empty() ? "" : ", ") + k;
    return fail(Errc::bad_request, "there is no plugin template \"" + std::string(kind) + "\"; there are " + all);
  }
  if (!good_name(name))
    return fail(
        Errc::bad_request,
        "\"" + std::string(name) + "\" is no name for a plugin: 1 to 64 of a-z, 0-9 and '-', beginning with a letter");
  if (folder.empty()) folder = name;
  std::error_code ec;
  if (fs::exists(folder, ec) && !(fs::is_directory(folder, ec) && fs::is_empty(folder, ec)))
    return fail(Errc::bad_request, "\"" + folder + "\" is there already and not an empty folder; name another one");
  fs::create_directories(folder, ec);
  if (ec) return fail(Errc::bad_request, "the folder \"" + folder + "\" can't be made: " + ec.message());
  std::vector<std::string> written;
  for (const TemplateFile& file : plugin_templates()) {
    if (kind != file.kind) continue;
    std::string file_name = file.name, text = file.text;
    if (file_name.starts_with("plugin")) file_name.replace(0, 6, name);
    replace(text, "@NAME@", name);
    replace(text, "@CLASS@", class_name(name));
    const std::string path = (fs::path(folder) / file_name).string();
    if (!(std::ofstream(path, std::ios::binary) << text).flush())
      return fail(Errc::bad_request, "\"" + path + "\" can't be written");
    written.push_back(path);
  }
  return written;
}

}  // namespace weir
