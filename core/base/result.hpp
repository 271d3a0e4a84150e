// Result<T>: a value, or an Error that says why not. g++ 12 has no std::expected; this alias is the only
// place that knows what stands in for it.
//   Result<int> parse(std::string_view text) { if (text.empty()) return fail(Errc::bad_request, "empty"); ... }
#pragma once
#include <boost/system/result.hpp>
#include <stdexcept>

#include "base/error.hpp"

namespace weir {

template <class T = void>
using Result = boost::system::result<T, Error>;

inline Error fail(Errc code, std::string message) { return Error{code, std::move(message)}; }

// Found by argument-dependent lookup when value() is called on a failure, which is a mistake of ours.
[[noreturn]] inline void throw_exception_from_error(const Error& e, const boost::source_location&) {
  throw std::logic_error("value() of a failed Result: " + e.message);
}

}  // namespace weir
