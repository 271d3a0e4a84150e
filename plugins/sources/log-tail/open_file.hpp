// One open log file, read line by line. It remembers offsets rather than bytes, so hundreds of files cost hundreds of
// descriptors and little memory: a line that is not finished yet is kept only while the common budget allows it, and
// is otherwise read once more from the file when its end arrives. A file that was cut and written again is recognised
// by its size, or by a fingerprint: its first 256 bytes and the last 64 before the place that was read to. What keeps
// both (the same header, as many lines, the same last bytes) passes.
// It may rest, without a descriptor, and be woken; and it may be packed (gzip), which is read from front to back.
// Threads: [strand].
#pragma once
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gzip_reader.hpp"
#include "place.hpp"
#include "reach.hpp"

namespace weir::log_tail {

inline constexpr std::size_t kChunkBytes = 64 * 1024;               // read at once; the unit of fairness between files
inline constexpr std::size_t kUnfinishedBytesMax = 512 * 1024;      // unfinished lines in memory, all files together
inline constexpr std::uint64_t kBacklogBytesMax = 4 * 1024 * 1024;  // how far back the last lines are looked for

struct Line {
  std::string_view text;    // without its end ("\n" or "\r\n"); lives until the call returns
  std::uint64_t bytes = 0;  // how long it is in the file, more than text.size() when it was cut
  Place end;                // behind it; only when ReadBuffers says so
  std::uint32_t lines = 1;  // more when several were joined to one event; '\n' stands between them
  bool partial = false;     // its newline never came
  bool continued = false;   // an event that goes on in the next one
  bool truncated() const { return bytes > text.size(); }
};

// So many of the last lines are wanted, no farther back than that.
struct LastLines {
  std::size_t lines = 0;
  std::uint64_t bytes = kBacklogBytesMax;
};

class LineSink {
 public:
  virtual ~LineSink() = default;
  // Takes the line. False: no more for now; what comes after it stays in the file.
  virtual bool line(const Line& line) = 0;
};

// What all files of one instance share, because only one of them is read at a time.
struct ReadBuffers {
  explicit ReadBuffers(std::size_t line_bytes, bool with_places = false)
      : line_bytes_max(line_bytes), places(with_places), chunk(kTailBytes + kChunkBytes) {}
  char* data() { return chunk.data() + kTailBytes; }  // in front of it: what stands before it in the file
  const std::size_t line_bytes_max;
  const bool places;  // whether lines know where they end
  std::vector<char> chunk;
  std::string line;                  // a line that did not lie in one chunk
  std::size_t unfinished_bytes = 0;  // held by the files, at most kUnfinishedBytesMax
  std::size_t open_files = 0;
  const void* unpacking = nullptr;  // one packed file is read at a time, because each costs 110 KiB meanwhile
};

class OpenFile {
 public:
  // Opens a regular file for reading and stands at its beginning. `buffers` must outlive the object.
  // Errors: is_open() is false and error() is the errno; ENOTSUP when it is something else than a regular file.
  // packed: its content is what gzip packed.
  OpenFile(const std::string& path, ReadBuffers& buffers, bool packed = false, Reach reach = {});
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();

  bool is_open() const { return fd_ >= 0; }
  int error() const { return error_; }
  std::string problem() const;  // of the last Outcome::failed, in words
  bool packed() const { return packed_ != nullptr; }
  int fd() const { return fd_; }
  FileId id() const { return id_; }
  std::uint64_t offset() const { return line_start_; }       // everything before it was delivered
  std::int64_t modified_ns() const { return modified_ns_; }  // when it was read last
  Head head() const { return {static_cast<std::uint32_t>(head_.size()), hash_of(head_)}; }
  std::size_t head_bytes() const { return head_.size(); }
  std::uint64_t read_up_to() const { return scanned_; }
  Place read_place() const;  // of read_up_to(), as it was read
  bool has_unfinished() const { return scanned_ > line_start_; }
  std::uint64_t size() const;            // now; 0 when the system does not say
  std::int64_t changed_ns() const;       // its last change, as size()
  void note_growth(std::uint64_t size);  // remembers that there is something to read, in case it is cut away before
  bool deleted() const;                  // no name leads to it any more

  // Closes it, to be opened again under a name that it has then. False: another file has that name.
  void rest();
  bool wake(const std::string& path);
  // Opens it anew under a name that it has now, in case only the descriptor is at fault. False: it stays as it is.
  bool reopen(const std::string& path);
  // Nothing happened to it since it was read to its end, says what stat(2) told.
  bool unchanged(const struct stat& st) const;

  void begin_at(std::uint64_t offset);  // the beginning of a line
  void begin_at(const Place& place);    // of a packed file as well, where it is checked when it is reached
  // At the last finished lines, and takes them off `wanted`; nothing more is wanted where that is as far back as it may
  // be. over: nothing more is written to it, so what stands behind the last newline is a line as well.
  void begin_with_backlog(LastLines& wanted, bool over);
  Place place() const;  // of offset(); where it is to begin, in a packed file that is not read that far
  // Was this file read up to `place` before, when it began so? Of a packed one only the beginning is looked at.
  // unreadable: the system does not show it now (a network that is away, a disk that fails), which tells nothing about
  // what is in it; problem() says why.
  enum class Content : std::uint8_t { same, other, unreadable };
  Content continues(const Head& head, const Place& place);

  enum class Outcome : std::uint8_t { more, at_end, truncated, other, failed };
  // Reads at most one chunk and delivers the lines that end in it. `truncated`: nothing was read; say so, then
  // restart(). `other`: a packed file is not the one that was read up to the place; it stands at its beginning now.
  // `failed`: problem() says why.
  Outcome read_chunk(LineSink& sink);
  // Delivers what stands behind the last newline, if anything does.
  void finish(LineSink& sink);
  // Begins at the front again, after the file was cut; the unfinished line is delivered first if it is still in memory.
  // True when something is known to have been lost unread.
  bool restart(LineSink& sink);

 private:
  Outcome read_packed(LineSink& sink);
  Outcome take_packed(std::string_view data, LineSink& sink);
  Content same_content();
  template <class Fits>
  Content content_at(std::size_t size, std::uint64_t offset, Fits&& fits);
  bool take(std::string_view data, LineSink& sink);
  bool deliver(std::string_view text, const Place& end, LineSink& sink);
  bool deliver_joined(std::string_view end, const Place& place, bool partial, LineSink& sink);
  void keep(std::string_view data, bool begins_line);
  void forget_kept();
  void advance(std::string_view data);
  void skip_hole();
  // Reads until `size` bytes are there or the file ends. Returns -1 with errno when it can't be read.
  static ssize_t read_fully(int fd, char* to, std::size_t size, std::uint64_t offset);
  bool read_at(char* to, std::size_t size, std::uint64_t offset) const;

  ReadBuffers* buffers_;
  Reach reach_;
  int fd_ = -1;
  int error_ = 0;
  FileId id_;
  std::uint64_t line_start_ = 0;  // where the first line begins that was not delivered
  std::uint64_t scanned_ = 0;     // no newline stands between line_start_ and here
  std::uint64_t size_seen_ = 0;   // what stood in the file when it was surely still the same
  std::string head_, tail_;       // the fingerprint: bytes [0, 256) and the 64 bytes before scanned_, as far as read
  std::string kept_;              // the unfinished line, from its start; at most line_bytes_max
  bool kept_whole_ = true;        // false: there was no room for it, read it again
  std::int64_t modified_ns_ = 0;
  std::int64_t quiet_ns_ = 0;  // its change time when it was read to its end and looked the same; 0: look again
  std::unique_ptr<GzipReader> packed_;
  std::string packed_rest_;  // unpacked and not taken yet, at most kChunkBytes
  Place skip_to_;            // a packed file is read without delivering up to here
};

}  // namespace weir::log_tail
