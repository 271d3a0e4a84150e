#include "plugin_host/library.hpp"

#include <link.h>

#define BOOST_DLL_USE_STD_FS  // else it wants Boost.Filesystem as a library
#include <boost/dll/shared_library.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <system_error>

#include "base/json.hpp"
#include "plugin_host/elf_file.hpp"
#include "weir/abi/auth.h"
#include "weir/abi/http.h"
#include "weir/abi/plugin.h"
#include "weir/abi/responder.h"
#include "weir/abi/sink.h"
#include "weir/abi/source.h"

namespace weir {
namespace {

constexpr std::uint64_t kFileBytesMax = 256u << 20;
constexpr std::uint32_t kStructBytesMax = 4096;  // no table or entry of any version is larger; garbage usually is

Error refuse(const std::string& path, const std::string& why) {
  return fail(Errc::bad_request, "plugin " + path + ": " + why);
}

// The memory of the object that holds `inside`, so that pointers which a plugin hands over can be looked at before they
// are followed. A plugin's strings, tables and functions are constants of its own file.
class LoadedObject {
 public:
  explicit LoadedObject(const void* inside) : wanted_(reinterpret_cast<std::uintptr_t>(inside)) {
    dl_iterate_phdr([](dl_phdr_info* info, std::size_t,
                       void* self) { return static_cast<LoadedObject*>(self)->look(*info) ? 1 : 0; },
                    this);
  }
  bool has_code(const void* p) const { return find(p, 1, PF_X) != 0; }
  bool has_bytes(const void* p, std::size_t size) const { return find(p, size, PF_R) != 0; }
  // The C string at p, if it ends within the object and within 1 MiB.
  std::optional<std::string_view> text(const char* p) const {
    const std::size_t room = std::min<std::size_t>(find(p, 1, PF_R), 1u << 20);
    const void* end = room == 0 ? nullptr : std::memchr(p, '\0', room);
    if (end == nullptr) return std::nullopt;
    return std::string_view(p, static_cast<std::size_t>(static_cast<const char*>(end) - p));
  }

 private:
  struct Segment {
    std::uintptr_t begin, end;
    std::uint32_t flags;
  };
  bool look(const dl_phdr_info& info) {
    segments_.clear();
    bool mine = false;
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      const auto& header = info.dlpi_phdr[i];
      if (header.p_type != PT_LOAD) continue;
      const std::uintptr_t begin = info.dlpi_addr + header.p_vaddr;
      segments_.push_back({begin, begin + header.p_memsz, header.p_flags});
      mine = mine || (wanted_ >= begin && wanted_ < begin + header.p_memsz);
    }
    return mine;
  }
  // How many bytes there are from p on in a segment with these flags; 0 when there are fewer than `size`.
  std::size_t find(const void* p, std::size_t size, std::uint32_t flags) const {
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    for (const Segment& s : segments_)
      if (at >= s.begin && at < s.end && s.end - at >= size && (s.flags & flags) == flags) return s.end - at;
    return 0;
  }
  std::uintptr_t wanted_;
  std::vector<Segment> segments_;
};

Result<void> check_entry(const weir_plugin& entry, const LoadedObject& object) {
  if (!object.has_bytes(&entry, 16)) return fail(Errc::bad_request, "its entry lies outside of its data");
  if (entry.magic != WEIR_PLUGIN_MAGIC)
    return fail(Errc::bad_request, "garbage in its entry: the magic number is wrong");
  if (auto abi = check_abi(entry.abi_major, entry.abi_minor); !abi) return abi;
  if (entry.struct_size < sizeof(weir_plugin) || entry.struct_size > kStructBytesMax ||
      !object.has_bytes(&entry, sizeof(weir_plugin)))
    return fail(Errc::bad_request, "garbage in its entry: struct_size is " + std::to_string(entry.struct_size) +
                                       ", expected at least " + std::to_string(sizeof(weir_plugin)));
  if (entry.flags != 0)
    return fail(Errc::bad_request, "its entry has flags that this hub does not know: " + std::to_string(entry.flags));
  if (!object.text(entry.name) || !object.text(entry.version) || !object.text(entry.manifest_json))
    return fail(Errc::bad_request, "garbage in its entry: name, version or manifest_json is not a string of its own");
  if (!object.has_code(reinterpret_cast<const void*>(entry.get_interface)))
    return fail(Errc::bad_request, "garbage in its entry: get_interface is not a function of its own");
  const std::string_view name = *object.text(entry.name);
  if (name.empty() || name.size() > 64 ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string_view::npos)
    return fail(Errc::bad_request, "its name " + json::quoted(name) + " is not 1 to 64 of a-z, 0-9 and '-'");
  return {};
}

Result<PluginInfo> read_manifest(std::string_view text) {
  json::Doc doc;
  if (auto parsed = doc.parse(text); !parsed)
    return fail(Errc::bad_request, "its manifest_json is broken: " + parsed.error().message);
  const json::Value root = doc.root();
  if (!root.is(json::Kind::object)) return fail(Errc::bad_request, "its manifest_json is not an object");
  PluginInfo info;
  const json::Value kinds = root.find("kinds");
  if (!kinds || !kinds.is(json::Kind::array)) return fail(Errc::bad_request, "its manifest_json has no list \"kinds\"");
  kinds.each_element([&](json::Value kind) {
    for (const char* known : {"source", "sink", "responder", "http", "auth"})
      if (kind.string_equals(known)) info.kinds.emplace_back(known);
  });
  // Kinds that a newer hub knows may stand beside; with none that this one knows there is nothing to load.
  if (info.kinds.empty())
    return fail(Errc::bad_request,
                "its kinds " + std::string(kinds.raw()) +
                    " are unknown to this hub, which knows \"source\", \"sink\", \"responder\", \"http\" and \"auth\"");
  const json::Value schema = root.find("config_schema");
  if (!schema || !schema.is(json::Kind::object))
    return fail(Errc::bad_request,
                "its manifest_json has no object \"config_schema\"; {\"type\":\"object\"} says that there is nothing "
                "to configure");
  info.config_schema = schema.raw();
  if (const auto summary = root.find("summary"); summary.is(json::Kind::string)) info.summary = summary.string();
  const json::Value separator = root.find("subject_separator");
  info.subject_separator = separator.is(json::Kind::string) ? separator.string() : "/";
  if (info.subject_separator.size() != 1)
    return fail(Errc::bad_request,
                "its subject_separator " + json::quoted(info.subject_separator) + " is not one character");
  if (const auto lossy = root.find("lossy"); lossy.is(json::Kind::boolean)) {
    info.lossy = lossy.boolean();
    info.lossless = !info.lossy;
  }
  if (const auto demand = root.find("on_demand"); demand && !demand.is(json::Kind::null)) {
    if (demand.string_equals("subjects"))
      info.on_demand = PluginInfo::OnDemand::subjects;
    else if (demand.string_equals("patterns"))
      info.on_demand = PluginInfo::OnDemand::patterns;
    else
      return fail(Errc::bad_request,
                  "its on_demand is " + std::string(demand.raw()) + "; expected \"subjects\" or \"patterns\"");
  }
  return info;
}

// `least`: the size of the table's first version; what later ones added is looked at where it is used.
template <class Table>
Result<const Table*> read_table(const weir_plugin& entry, const char* id, std::size_t least,
                                const LoadedObject& object) {
  const auto* table = static_cast<const Table*>(entry.get_interface(id));
  if (table == nullptr)
    return fail(Errc::bad_request,
                std::string("its manifest names a kind whose table \"") + id + "\" it does not have");
  if (!object.has_bytes(table, sizeof(std::uint32_t)) || table->struct_size < least ||
      table->struct_size > kStructBytesMax || !object.has_bytes(table, table->struct_size))
    return fail(Errc::bad_request, std::string("its table \"") + id + "\" is garbage");
  if (table->create == nullptr || table->start == nullptr || table->stop == nullptr || table->destroy == nullptr)
    return fail(Errc::bad_request, std::string("its table \"") + id + "\" lacks create, start, stop or destroy");
  return table;
}

// The same, into `to`; `call`: the function without which there is nothing to do.
template <class Table, class Call>
Result<void> take_table(const weir_plugin& entry, const char* id, std::size_t least, const LoadedObject& object,
                        Call Table::*call, const char* name, const Table*& to) {
  const auto table = read_table<Table>(entry, id, least, object);
  if (!table) return table.error();
  if (call != nullptr && (*table)->*call == nullptr)
    return fail(Errc::bad_request, std::string("its table \"") + id + "\" lacks " + name);
  to = *table;
  return {};
}

// Everything that was ever loaded, kept until the process ends.
void keep_forever(boost::dll::shared_library library) {
  static std::mutex mutex;
  static auto* kept = new std::vector<boost::dll::shared_library>;  // on purpose not destroyed: that would unload them
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(library));
}

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j)
      diagonal =
          std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)}));
  }
  return row[b.size()];
}

}  // namespace

Result<std::string> read_library_file(const std::string& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec))
    return fail(Errc::bad_request, "plugin " + path + " is a folder, not a file");
  const auto size = std::filesystem::file_size(path, ec);
  if (ec) return fail(Errc::not_found, "plugin " + path + " can't be read: " + ec.message());
  if (size > kFileBytesMax)
    return fail(Errc::too_large, "plugin " + path + " has " + std::to_string(size) + " bytes; 256 MiB are allowed");
  std::ifstream in(path, std::ios::binary);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (!in.read(bytes.data(), static_cast<std::streamsize>(size)))
    return fail(Errc::bad_request, "plugin " + path + " can't be read: " + std::system_category().message(errno));
  return bytes;
}

Result<std::shared_ptr<const Library>> Library::load(const std::string& path) {
  // First the bytes, then the code: loading a library runs its constructors.
  const auto bytes = read_library_file(path);
  if (!bytes) return bytes.error();
  const auto elf = ElfFile::parse(*bytes);
  if (!elf) return refuse(path, elf.error().message);
  const auto note = elf->plugin_note();
  if (!note) return refuse(path, note.error().message);
  if (const auto abi = check_abi(note->abi_major, note->abi_minor); !abi) return refuse(path, abi.error().message);

  boost::dll::fs::error_code ec;
  boost::dll::shared_library library;
  // An absolute path, so that the loader does not search its own folders for a bare name.
  library.load(std::filesystem::absolute(path).string(),
               boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, ec);
  if (ec) {
    const char* reason =
        dlerror();  // Boost has asked already on most paths; what is left tells more than its error code
    return refuse(path, "the system can't load it: " + (reason != nullptr ? std::string(reason) : ec.message()));
  }
  const bool has_entry = library.has(WEIR_PLUGIN_SYMBOL);
  const auto* entry = has_entry ? &library.get<const weir_plugin>(WEIR_PLUGIN_SYMBOL) : nullptr;
  keep_forever(std::move(library));
  if (entry == nullptr)
    return refuse(path, "it does not export \"" WEIR_PLUGIN_SYMBOL "\"; declare it with WEIR_EXPORT");

  const LoadedObject object(entry);
  if (const auto good = check_entry(*entry, object); !good) return refuse(path, good.error().message);
  if (entry->abi_major != note->abi_major || entry->abi_minor != note->abi_minor)
    return refuse(path, "its note says ABI " + std::to_string(note->abi_major) + "." + std::to_string(note->abi_minor) +
                            ", its entry " + std::to_string(entry->abi_major) + "." + std::to_string(entry->abi_minor) +
                            "; rebuild all of it with one SDK");
  auto info = read_manifest(entry->manifest_json);
  if (!info) return refuse(path, info.error().message);
  info->name = entry->name;
  info->version = entry->version;
  info->abi_major = entry->abi_major;
  info->abi_minor = entry->abi_minor;

  std::shared_ptr<Library> made(new Library);
  made->path_ = path;
  made->info_ = *std::move(info);
  using SourceCall = decltype(weir_source_v1::pause);
  for (const std::string& kind : made->info_.kinds) {
    Result<void> taken;
    if (kind == "source")
      taken = take_table<weir_source_v1, SourceCall>(*entry, WEIR_SOURCE_V1, offsetof(weir_source_v1, activate), object,
                                                     nullptr, "", made->source_);
    else if (kind == "sink")
      taken = take_table(*entry, WEIR_SINK_V1, sizeof(weir_sink_v1), object, &weir_sink_v1::deliver, "deliver",
                         made->sink_);
    else if (kind == "responder")
      taken = take_table(*entry, WEIR_RESPONDER_V1, sizeof(weir_responder_v1), object, &weir_responder_v1::request,
                         "request", made->responder_);
    else if (kind == "http")
      taken =
          take_table(*entry, WEIR_HTTP_V1, sizeof(weir_http_v1), object, &weir_http_v1::handle, "handle", made->http_);
    else
      taken = take_table(*entry, WEIR_AUTH_V1, sizeof(weir_auth_v1), object, &weir_auth_v1::authenticate,
                         "authenticate", made->auth_);
    if (!taken) return refuse(path, taken.error().message);
  }
  if (made->info_.on_demand != PluginInfo::OnDemand::no) {
    const weir_source_v1* source = made->source_;
    if (source == nullptr || !WEIR_HAS(source, weir_source_v1, activate) || source->activate == nullptr ||
        !WEIR_HAS(source, weir_source_v1, deactivate) || source->deactivate == nullptr)
      return refuse(path,
                    "its manifest says on_demand, but its table \"" WEIR_SOURCE_V1 "\" has no activate and deactivate");
  }
  return std::shared_ptr<const Library>(std::move(made));
}

Result<std::string> find_library(std::string_view name, const std::vector<std::string>& folders) {
  namespace fs = std::filesystem;
  std::error_code ec;
  if (name.find('/') != std::string_view::npos) {
    if (fs::exists(fs::path(name), ec)) return std::string(name);
    return fail(Errc::not_found, "there is no plugin file " + std::string(name));
  }
  const std::string file = "libweir-" + std::string(name) + ".so";
  std::string looked;
  std::vector<std::pair<std::size_t, std::string>> similar;
  for (const std::string& folder : folders) {
    const fs::path path = fs::path(folder) / file;
    if (fs::exists(path, ec)) return path.string();
    looked += (looked.empty() ? "" : ", ") + folder;
    if (!fs::is_directory(folder, ec)) looked += " (no such folder)";
    for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
      std::string there = it->path().filename().string();
      if (!there.starts_with("libweir-") || !there.ends_with(".so")) continue;
      there = there.substr(8, there.size() - 11);
      const std::size_t away = distance(there, name);
      if (away <= std::max<std::size_t>(2, name.size() / 3)) similar.emplace_back(away, there);
    }
  }
  std::string message = "there is no plugin library \"" + std::string(name) + "\" (" + file + "); looked in " +
                        (looked.empty() ? "no folder at all: name some in `plugins`" : looked);
  std::sort(similar.begin(), similar.end());
  similar.erase(std::unique(similar.begin(), similar.end()), similar.end());
  if (similar.size() > 3) similar.resize(3);
  for (std::size_t i = 0; i < similar.size(); ++i)
    message += (i == 0 ? "; similar: \"" : ", \"") + similar[i].second + "\"";
  return fail(Errc::not_found, message);
}

}  // namespace weir
