// What Loop hides from the rest of the hub. Only core/net includes this.
#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <memory>

#include "net/loop.hpp"
#include "protocol/deflate.hpp"

namespace weir::net {

struct Loop::Impl {
  struct Context : boost::asio::io_context {
    using boost::asio::execution_context::shutdown;
    using boost::asio::io_context::io_context;
  };
  Context io{1};
  std::atomic<bool> stopped{false};
  std::unique_ptr<Inflater> inflater;  // of all the loop's connections, once one of them needs it [shard]
};

}  // namespace weir::net
