// The live attachments of one channel on one shard, arranged by what they want, so that an event costs what those who
// want it cost, not those who subscribed. Attachments with the same filter stand together and are asked once. A filter
// that no event can pass without one of a few equalities (event, key, data.a.b, ...; $in; all of an $or) is found by
// them: ten thousand filters on ten thousand values of one field cost one look at that field. All other filters are
// asked one by one. Threads: [shard].
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/string_map.hpp"
#include "routing/attachment.hpp"

namespace weir {

class Audience {
 public:
  Audience();
  ~Audience();
  // It is found by its grants' filters from now on; those that it has already are replaced. Not during each_wanting().
  void put(Attachment& a);
  void remove(Attachment& a);
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  Attachment& any() const;  // one of them; there is one

  // f(attachment, connection) for each that wants the event, in no order. f may remove that attachment and no other.
  template <class F>
  void each_wanting(const EventView& event, F&& f) {
    walking_ = true;
    visit(everything_, f);
    if (!places_.empty() || !asked_.empty()) {
      find(event);
      for (Group* group : found_) visit(*group, f);
      found_.clear();
    }
    walking_ = false;
    if (!left_empty_.empty()) sweep();
  }

 private:
  struct Member {
    Attachment* attachment;
    Connection* connection;  // at hand without a look into the attachment
  };
  struct Group {
    FilterPtr filter;  // null: everything
    std::vector<Member> members;
    std::uint64_t seen = 0;  // the event it was found for last
    bool exact = false;      // whoever finds it by an equality need not ask the filter
    std::uint32_t asked_index = 0;
    std::vector<std::pair<std::size_t, std::string>> keys;  // where it stands: place and value
  };
  struct PlaceIndex {
    Filter::Place place;
    StringMap<std::vector<Group*>> groups;
  };

  template <class F>
  static void visit(Group& group, F& f) {
    for (std::size_t i = 0; i < group.members.size();) {
      const std::size_t before = group.members.size();
      const Member member = group.members[i];
      f(*member.attachment, *member.connection);
      if (group.members.size() == before) ++i;  // else another one has taken its place
    }
  }
  void find(const EventView& event);  // fills found_
  Group& group(const FilterPtr& filter);
  void index(Group& group);
  void drop(Group& group);
  void sweep();

  Group everything_;
  std::unordered_map<std::string_view, std::unique_ptr<Group>> groups_;  // by the filter's text
  std::vector<std::unique_ptr<PlaceIndex>> places_;                      // null: free
  std::vector<Group*> asked_;                                            // those that no index finds
  std::vector<Group*> found_;
  std::string scratch_;
  std::uint64_t serial_ = 0;
  std::vector<Group*> left_empty_;  // during each_wanting()
  std::size_t size_ = 0;
  bool walking_ = false;
};

}  // namespace weir
