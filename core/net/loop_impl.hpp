// What Loop hides from the rest of the hub. Only core/net includes this.
#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/loop.hpp"

namespace weir::net {

struct Loop::Impl {
  boost::asio::io_context io{1};
  boost::asio::steady_timer timer{io};
  std::atomic<bool> stopped{false};
};

}  // namespace weir::net
