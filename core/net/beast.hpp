// Boost.Beast for the .cpp files of this folder, and for nobody else: a file that includes it takes 13 to 20 seconds to
// compile.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

namespace weir::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using tcp = boost::asio::ip::tcp;
using boost::beast::error_code;
// With the executor of the loop itself, and not one of any kind, which every step of a read would copy and destroy.
using Socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
}  // namespace weir::net
