// An event on its way out of a channel to a plugin (`to` in the manifest). Threads: [any]; a value.
#pragma once
#include <memory>
#include <string>

#include "routing/event.hpp"

namespace weir {

struct Outgoing {
  EventPtr event;
  std::shared_ptr<const std::string> subject;  // where it goes, in the sink's own terms
};

}  // namespace weir
