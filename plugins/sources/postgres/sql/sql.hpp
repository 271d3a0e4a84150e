// The files of sql/, as they are. Threads: pure functions.
#pragma once
#include <string_view>

namespace weir {

std::string_view sql_outbox();
std::string_view sql_wake_notify();
std::string_view sql_wake_poll();
std::string_view sql_reader();
std::string_view sql_reader_role();
std::string_view sql_writer_role();

}  // namespace weir
