// From a manifest to the options of cnats. Threads: [any].
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "config.hpp"

typedef struct __natsOptions natsOptions;

namespace weir::nats {

struct OptionsCloser {
  void operator()(natsOptions* options) const;
};
using Options = std::unique_ptr<natsOptions, OptionsCloser>;

// Who and where; `more`: servers that the cluster told of. Reads the files that the config names. Null, and `why`: one
// of them can't be used.
Options make_options(const LinkConfig& config, const std::vector<std::string>& more, std::string& why);

// The reason of the last thing that failed on this thread, `status`, in words.
std::string last_error(int status);

}  // namespace weir::nats
