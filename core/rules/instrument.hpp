// Weaves an operation counter into a rule's source, so that every loop, call and jump can be stopped.
// Hooks do not fire inside compiled loops and can't interrupt C; a counter that is part of the program always works.
// The text is put in on the same line, so the line numbers of errors stay those of the file.
// Limits: scripts up to kScriptBytesMax; bytecode is refused. One function may use 58 upvalues instead of 60.
// Threads: [any]; a pure function.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace weir::rules {

inline constexpr std::size_t kScriptBytesMax = 1024 * 1024;
// Names that begin with this belong to the loader; a script that uses one does not load.
inline constexpr std::string_view kReservedPrefix = "__weir_";

// `script` stands in messages. The result expects the global `__weir_trip` when it starts: a function that takes the
// accessor of the counter once, and afterwards hands out the next number of operations (see state.cpp).
// Errors: bad_request - "script:line: message": bytecode, too long, a reserved name, `goto` used as a name.
Result<std::string> instrument(std::string_view script, std::string_view source);
// The same for a script that another one requires: a chunk that returns a function, to be called once its upvalues
// __weir_g and __weir_t have been made those of the other one.
Result<std::string> instrument_module(std::string_view script, std::string_view source);

}  // namespace weir::rules
