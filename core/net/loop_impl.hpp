// What Loop hides from the rest of the hub. Only core/net includes this.
#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>

#include "net/loop.hpp"

namespace weir::net {

struct Loop::Impl {
  struct Context : boost::asio::io_context {
    using boost::asio::execution_context::shutdown;
    using boost::asio::io_context::io_context;
  };
  Context io{1};
  std::atomic<bool> stopped{false};
};

}  // namespace weir::net
