#!/usr/bin/env python3
"""The include map of ARCHITECTURE.md, checked: which folder may include what.

Reads the files that git knows (or, outside a checkout, those in the folders), looks at their #include lines and
prints each one that the map does not allow. Exit status 1 if there is any.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What a layer of core/ may see of core/, besides itself.
LAYERS = {
    "base": set(),
    "protocol": {"base"},
    "routing": {"base", "protocol"},
    "manifest": {"base", "routing"},
    "rules": {"base", "protocol", "routing"},
    "plugin_host": {"base", "protocol", "routing"},
    "net": {"base", "protocol", "routing"},
}
LAYERS["server"] = set(LAYERS)
LAYERS["cli"] = set(LAYERS)

BEAST_FILES_MAX = 4
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LUA = re.compile(r"^(lua[a-z0-9._-]*/)?(lua|lualib|lauxlib|luajit)\.(h|hpp)$")


def tracked_files():
    try:
        out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True).stdout
        names = out.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = []
        for top in ("core", "plugins", "sdk-plugin"):
            for folder, _, files in os.walk(os.path.join(ROOT, top)):
                names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted(n for n in names if n.endswith((".cpp", ".hpp", ".h", ".c")) and os.path.exists(os.path.join(ROOT, n)))


def includes(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            found = INCLUDE.match(line)
            if found:
                yield number, found.group(1), found.group(2)


def why_not(path, quote, header):
    """What is wrong with this include, or None."""
    parts = path.split("/")
    top, layer = parts[0], parts[1] if len(parts) > 2 else ""
    if top == "core":
        if header.startswith("boost/beast"):
            private = path.startswith("core/net/") and (path.endswith(".cpp") or path == "core/net/beast.hpp")
            return None if private else "Boost.Beast stays in core/net/*.cpp and core/net/beast.hpp"
        if header.startswith("boost/asio") and layer not in ("net", "server"):
            return "Boost.Asio stays in core/net and core/server; take a weir::Clock or an executor instead"
        if header.startswith("boost/dll") and path != "core/plugin_host/library.cpp":
            return "Boost.DLL stays in core/plugin_host/library.cpp"
        if LUA.match(header) and not (layer == "rules" and path.endswith(".cpp")):
            return "the Lua headers stay in core/rules/*.cpp"
        if header.startswith("weir/") and not header.startswith("weir/abi/"):
            return "core takes weir/abi from the SDK, nothing else"
        target = header.split("/")[0] if "/" in header else ""
        if quote == '"' and target in LAYERS and target != layer and target not in LAYERS.get(layer, set()):
            allowed = ", ".join(sorted(LAYERS.get(layer, set()))) or "nothing"
            return f"core/{layer} must not know core/{target}; of core it may include {allowed}"
    elif top == "plugins":
        target = header.split("/")[0] if "/" in header else ""
        if target in LAYERS or header.startswith("core/"):
            return "a plugin includes weir/sdk and weir/abi, never core"
        if header.startswith("weir/") and not header.startswith(("weir/sdk/", "weir/abi/")):
            return "a plugin includes weir/sdk and weir/abi only"
    elif top == "sdk-plugin" and path.startswith("sdk-plugin/include/"):
        if "weir/abi/" in path and quote == "<" and header.startswith("weir/") and not header.startswith("weir/abi/"):
            return "the ABI knows nothing but itself"
        if header.startswith(("boost/", "nlohmann/", "fmt/", "spdlog/")):
            return "the SDK depends on nothing but C and C++"
        if header.split("/")[0] in LAYERS:
            return "the SDK never includes core"
    return None


def main():
    problems, beast = [], set()
    files = tracked_files()
    for path in files:
        for number, quote, header in includes(path):
            reason = why_not(path, quote, header)
            if reason:
                problems.append(f"{path}:{number}: includes {header}: {reason}")
            if path.startswith("core/") and path.endswith(".cpp") and (header.startswith("boost/beast") or header.endswith("beast.hpp")):
                beast.add(path)
    if len(beast) > BEAST_FILES_MAX:
        problems.append(f"{len(beast)} .cpp files of core include Boost.Beast, {BEAST_FILES_MAX} may: {', '.join(sorted(beast))}")
    for problem in problems:
        print(problem)
    if problems:
        return 1
    print(f"{len(files)} files keep to the include map; Boost.Beast in {len(beast)} of {BEAST_FILES_MAX} .cpp files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
