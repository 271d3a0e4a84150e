#include "base/limits.hpp"

namespace weir {
namespace {
constexpr LimitInfo kLimits[] = {
#define WEIR_LIMIT(name, value, low, high, unit, effect, why) \
  {#name, value, low, high, LimitUnit::unit, effect, why, &Limits::name},
#include "base/limits.def"
#undef WEIR_LIMIT
};
}  // namespace

std::span<const LimitInfo> all_limits() { return kLimits; }

}  // namespace weir
