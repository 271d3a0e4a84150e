// What `weir plugin new` and `weir plugin check` do, without the rest of the program.
#include <cstdio>
#include <cstring>

#include "plugin_host/checker.hpp"
#include "plugin_host/scaffold.hpp"

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "new") == 0) {
    const auto written = weir::scaffold_plugin(argv[2], argv[3], argv[4]);
    if (!written) return std::fprintf(stderr, "%s\n", written.error().message.c_str()), 1;
    for (const auto& file : *written) std::printf("%s\n", file.c_str());
    return 0;
  }
  if (argc >= 3 && std::strcmp(argv[1], "check") == 0) {
    const auto findings = weir::check_plugin(argv[2], argc > 3 ? std::optional<std::string>(argv[3]) : std::nullopt);
    std::fputs(weir::check_report(argv[2], findings, true).c_str(), stdout);
    int failed = 0;
    for (const auto& finding : findings) failed += finding.ok ? 0 : 1;
    return failed == 0 ? 0 : 1;
  }
  std::fprintf(stderr, "package_tool new KIND NAME FOLDER | check FILE.so [CONFIG]\n");
  return 2;
}
