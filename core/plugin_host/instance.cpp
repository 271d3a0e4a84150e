#include "plugin_host/instance.hpp"

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/json.hpp"
#include "base/log.hpp"
#include "plugin_host/border.hpp"

namespace weir {
namespace {

// One answer from the strand to a thread that waits for it, for a while.
class Reply {
 public:
  void give() {
    const std::lock_guard lock(mutex_);
    given_ = true;
    changed_.notify_all();
  }
  bool wait(std::int64_t deadline_ms) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(deadline_ms), [this] { return given_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool given_ = false;
};

struct Created {
  Reply reply;
  weir_status status = WEIR_E_INTERNAL;
  void* instance = nullptr;
  weir_error error{};
};

// Both texts end with a NUL if the plugin did as it should; they are read as if it had not.
template <std::size_t Size>
std::string text_of(const char (&text)[Size]) {
  return json::to_utf8(std::string_view(text, ::strnlen(text, Size)));
}

Errc errc_of(weir_status status) {
  switch (status) {
    case WEIR_E_CONFIG:
    case WEIR_E_INVALID:
      return Errc::bad_request;
    case WEIR_E_UNAVAILABLE:
      return Errc::unavailable;
    case WEIR_E_TIMEOUT:
      return Errc::timeout;
    default:
      return Errc::internal;
  }
}

std::string said(const weir_error& error, weir_status status) {
  std::string out = text_of(error.message);
  if (out.empty()) out = "it gave no reason (status " + std::to_string(status) + ")";
  return out;
}

bool is_error(weir_status status) { return status <= WEIR_E_FULL && status >= WEIR_E_NOT_FOUND; }

// Instances whose thread is stuck inside the plugin: it may come back any time and still needs them.
void keep_forever(Instance* instance) {
  static std::mutex mutex;
  static auto* kept = new std::vector<Instance*>;
  const std::lock_guard lock(mutex);
  kept->push_back(instance);
}

}  // namespace

std::string_view to_word(InstanceState state) {
  constexpr std::string_view words[] = {"created", "starting", "running", "degraded", "retrying", "failed", "stopped"};
  return words[static_cast<std::size_t>(state)];
}

Instance::Instance(std::string name, std::shared_ptr<const Library> library)
    : name_(std::move(name)), library_(std::move(library)), border_(Border::make(name_)) {}

Instance::~Instance() {
  if (!ended_) border_->end_strand(false);  // it was made by half: the system had no thread or descriptor for the rest
}

Error Instance::no_room(const std::string& name, const std::system_error& error) {
  return fail(Errc::unavailable, "plugin \"" + name + "\" can't be made: " + error.what() +
                                     "; the limits of the process are reached (ulimit -n, ulimit -u)");
}

void Instance::end(Instance* instance) {
  instance->stop();
  if (instance->left_behind_)
    keep_forever(instance);
  else
    delete instance;
}

InstanceStatus Instance::status() const { return border_->status(); }
InstanceCounters Instance::counters() const { return border_->counters(); }
std::vector<std::pair<std::string, double>> Instance::metrics() const { return border_->metrics(); }
const weir_host* Instance::host() const { return border_->host(); }

Result<void> Instance::create(const Calls& calls, const std::string& config_json, std::string* json_pointer) {
  calls_ = calls;
  auto created = std::make_shared<Created>();  // shared: a plugin that comes back after the deadline still writes there
  created->error.struct_size = sizeof(weir_error);
  border_->strand().post_always("create()", [this, created, config_json] {
    created->status =
        calls_.create(border_->host(), {config_json.data(), config_json.size()}, &created->instance, &created->error);
    instance_ = created->status == WEIR_OK ? created->instance : nullptr;
    created->reply.give();
  });
  const std::string who = "plugin \"" + name_ + "\" (" + library_->info().name + " " + library_->info().version + "): ";
  if (!created->reply.wait(kCreateMs)) {
    border_->set_state(InstanceState::failed,
                       "create() did not return within " + std::to_string(kCreateMs / 1000) + " s");
    log::error(name_, "plugin misbehaving: create() does not return; its thread is left behind");
    left_behind_ = true;
    return fail(Errc::unavailable, who + "create() did not return within " + std::to_string(kCreateMs / 1000) +
                                       " s; it should only parse its config");
  }
  if (created->status == WEIR_OK && created->instance != nullptr) return {};
  weir_status status = created->status;
  std::string why = said(created->error, status);
  if (status == WEIR_OK || !is_error(status)) {
    border_->misbehaving(status == WEIR_OK ? "create() returned OK but no instance"
                                           : "create() returned the status " + std::to_string(status));
    if (status != WEIR_OK)
      why = "create() returned the status " + std::to_string(status) + ", which is none";
    else
      why = "create() returned OK but no instance";
    status = WEIR_E_INTERNAL;
  }
  border_->set_state(InstanceState::failed, why);
  if (json_pointer != nullptr) *json_pointer = text_of(created->error.json_pointer);
  return fail(errc_of(status), who + why);
}

void Instance::start() {
  border_->set_state(InstanceState::starting, "");
  border_->strand().post_always("start()", [this] {
    weir_error error{};
    error.struct_size = sizeof error;
    const weir_status status = calls_.start(instance_, &error);
    if (status == WEIR_OK) {
      // A plugin that has nothing to connect to need not say that it runs.
      if (const auto now = border_->status(); now.state == InstanceState::starting && now.reason.empty())
        border_->set_state(InstanceState::running, "");
      start_returned_ = true;
      return;
    }
    if (!is_error(status)) border_->misbehaving("start() returned the status " + std::to_string(status));
    const std::string why = said(error, status);
    border_->set_state(InstanceState::failed, why);
    log::error(name_, "could not start: " + why);
    start_returned_ = true;
  });
}

bool Instance::stop(std::int64_t deadline_ms) {
  if (ended_) return !left_behind_;
  ended_ = true;
  auto stopped = std::make_shared<Reply>();
  if (!left_behind_)
    border_->strand().post_always("stop()", [this, stopped] {
      if (instance_ != nullptr) calls_.stop(instance_);
      border_->close(kStopMs);
      if (instance_ != nullptr) calls_.destroy(instance_);
      instance_ = nullptr;
      border_->strand().close();
      stopped->give();
    });
  if (left_behind_ || !stopped->wait(deadline_ms)) {
    left_behind_ = true;
    const std::string why = std::string(border_->strand().busy_with()) + " does not return; its thread is left behind";
    log::error(name_, "plugin misbehaving: " + why);
    border_->close(100);
    border_->end_strand(true);
    on_stopped();
    border_->set_state(InstanceState::failed, "wedged: " + why);
    return false;
  }
  border_->end_strand(false);
  on_stopped();
  if (border_->status().state != InstanceState::failed) border_->set_state(InstanceState::stopped, "");
  return true;
}

}  // namespace weir
