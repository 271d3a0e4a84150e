// Looks for the last lines of a log in the files that were rotated away before somebody read it, because the one that
// has its name now has too few: newest first, packed or not, until there are enough. What can't be read ends it, since
// what stands before a hole is no past of what stands behind it.
// Limits: kFilesMax files; of each packed one kUnpackedMax bytes are unpacked, a chunk at a time, and where its last
// lines begin takes 16 bytes a line meanwhile. Threads: [strand].
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "open_file.hpp"
#include "siblings.hpp"

namespace weir::log_tail {

class Backlog {
 public:
  static constexpr std::size_t kFilesMax = 32;
  static constexpr std::uint64_t kUnpackedMax = 256ULL * 1024 * 1024;

  struct Part {
    OpenFile file;  // stands where its first wanted line begins
    std::string name;
  };

  // older: oldest first.
  Backlog(LastLines wanted, std::vector<Sibling> older, ReadBuffers& buffers, Reach reach);

  // Looks into one more file, or a chunk further into a packed one. False: that was all.
  bool look();
  std::vector<Part>& parts() { return parts_; }            // newest first
  const std::string& problem() const { return problem_; }  // why there is not more; empty: it has what there is

 private:
  // Of a file that can only be read forwards.
  class Starts final : public LineSink {
   public:
    explicit Starts(std::size_t lines) : lines_max_(lines) {}
    bool line(const Line& line) override;
    Place first(LastLines& wanted);  // of the wanted ones, which are taken off

   private:
    const std::size_t lines_max_;
    std::deque<Place> places_;
    Place next_;
  };

  bool end(const Sibling& at, const std::string& why);
  bool look_into_packed();

  LastLines wanted_;
  std::vector<Sibling> older_;  // the next one is the last
  ReadBuffers& buffers_;
  const Reach reach_;
  std::vector<Part> parts_;
  std::optional<Starts> starts_;  // of the last part, while it is unpacked
  std::string problem_;
};

}  // namespace weir::log_tail
