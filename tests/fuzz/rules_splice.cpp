// Any JSON through rules: one that looks at all of it and changes nothing leaves every byte, one that sets a field and
// one that removes one change only that, as nlohmann/json sees it; with the index that came along as without it.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/json.hpp"
#include "rules/engine.hpp"
#include "rules/program.hpp"

namespace {

using namespace weir;

class Nowhere final : public RuleOutput {
  void publish(std::string, Draft) override {}
};

class Rule {
 public:
  explicit Rule(const std::string& body) {
    RuleSettings settings;
    settings.script = "fuzz.lua";
    Limits limits;
    limits.rule_errors_in_a_row = 1'000'000'000;
    limits.rule_ops = 100'000'000;
    limits.rule_ms = 60'000;
    auto program =
        RuleProgram::from_text(settings, "return { transform = function(ev) " + body + " return ev end }", limits);
    if (!program) std::abort();
    const std::size_t only[] = {0};
    engine_.emplace(std::vector<std::shared_ptr<const RuleProgram>>{*program}, output_, system_clock(), limits);
    chain_ = engine_->open(only, "fuzz/1", {});
  }
  // What came out; nothing: the rule failed.
  std::optional<std::string> run(std::string_view text, bool along) {
    Draft draft;
    draft.event = "e";
    draft.data = text;
    json::Doc frame;
    const std::string frame_text = R"({"type":{"a":"publish"},"data": )" + draft.data + " }";
    if (along) {  // as it comes out of the frame of a client
      if (!frame.parse(frame_text, json::Doc::kDepthMax + 1)) std::abort();
      frame.lend(frame.root().find("data"), draft.index);
    }
    std::vector<Draft> more;
    if (!chain_->run(draft, more).keep) return std::nullopt;
    return draft.data;
  }

 private:
  Nowhere output_;
  std::optional<RuleEngine> engine_;
  std::unique_ptr<RuleChain> chain_;
};

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Rule look(
      "local function look(v) if type(v) == 'table' then for k, x in pairs(v) do look(x) end for i = 1, #v do "
      "look(v[i]) end end end look(ev.data)");
  static Rule set("if type(ev.data) == 'table' then ev.data.set = 1 end");
  static Rule remove("if type(ev.data) == 'table' then ev.data.a = nil end");
  const std::string text(reinterpret_cast<const char*>(data), size);
  json::Doc doc;
  if (!doc.parse(text)) return 0;
  const auto value = nlohmann::json::parse(text, nullptr, false);
  const bool readable = !value.is_discarded();  // else it has a number beyond a double, which Lua can't read either
  for (const bool along : {false, true}) {
    // The space around the value belongs to the frame; what comes along starts with the value.
    const std::string event = along ? std::string(doc.root().raw()) : text;
    if (readable) must(look.run(event, along) == event);
    if (!readable || !value.is_object()) continue;
    auto with = value, without = value;
    with["set"] = 1;
    without.erase("a");
    const auto was_set = set.run(event, along), was_removed = remove.run(event, along);
    must(was_set && nlohmann::json::parse(*was_set, nullptr, false) == with);
    must(was_removed && nlohmann::json::parse(*was_removed, nullptr, false) == without);
  }
  return 0;
}
