// A log file that is written to, for log-tail. There is no client library to compare that with.
#include <fstream>

#include "bench/sources/upstream.hpp"

namespace weir::bench {
namespace {

class LogFile final : public Upstream {
 public:
  explicit LogFile(const std::string& folder) : path_(folder + "/hub"), file_(path_) {}
  EventText::Kind kind() const override { return EventText::Kind::line; }
  std::string library() const override { return "log-tail"; }
  std::string config() const override { return "{ files = [\"" + path_ + "\"], backlog = 0 }"; }
  void publish(Lane, const std::vector<std::string>& events) override {
    for (const auto& event : events) file_ << event << '\n';
    file_.flush();
    if (!file_) throw std::runtime_error("can't write to " + path_);
  }

 private:
  const std::string path_;
  std::ofstream file_;
};

}  // namespace

std::unique_ptr<Upstream> log_file(const std::string& folder) { return std::make_unique<LogFile>(folder); }

}  // namespace weir::bench
