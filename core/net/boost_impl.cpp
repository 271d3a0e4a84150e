// The separately compiled parts of Asio and Beast, once for everybody.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
