-- Waits until it is quiet: of a run of events with the same key only the last goes on, once none has come for a while.
--   rules = [{ script = "filters/debounce.lua", every = "100ms", params = { wait = 0.5 } }]
-- Options:  wait  seconds without an event of that key (default 0.5); looked at as often as `every` says in the manifest
--           by    a path; its value is the key (default "key")
--           max   so many keys at a time; events beyond them pass (default 1000)
-- Changes:  the event comes with its name and data, and a new id.
-- Keeps:    what waits, in memory; when the hub ends, or a reload brings another version of this rule, it goes on at once. A publisher is told that its event was dropped, with the reason "waits".
-- Cost:     1 us and what it takes to copy the data.
local at = require("lib/at")

local rule = {
  params = {
    wait = { type = "number", default = 0.5, description = "seconds without an event" },
    by = { type = "string", default = "key", description = "a path; its value is the key" },
    max = { type = "integer", default = 1000, description = "how many keys at a time" },
  },
}

local waiting = {}  -- by channel and key: { channel, event, data, due }
local count = 0

function rule.transform(ev, ctx)
  if ev.source == ctx.script then return ev end  -- has waited
  local key = at(ev, ctx.params.by)
  if type(key) == "table" then return ev end
  local place = ctx.channel .. " " .. tostring(key)
  local one = waiting[place]
  if not one then
    if count >= ctx.params.max then return ev end
    one = { channel = ctx.channel }
    waiting[place] = one
    count = count + 1
  end
  one.event, one.data = ev.event, ev.data == nil and null or hub.copy(ev.data)
  one.due = hub.now() + ctx.params.wait * 1000
  return nil, "waits"
end

function rule.on_timer(now)
  local passed = 0
  for place, one in pairs(waiting) do
    if one.due <= now and passed < 64 then  -- the rest comes next time
      hub.publish(one.channel, one.event, one.data)
      waiting[place] = nil
      count = count - 1
      passed = passed + 1
    end
  end
end

function rule.on_stop()
  for _, one in pairs(waiting) do hub.publish(one.channel, one.event, one.data) end
end

function rule.check(params)
  if params.wait <= 0 then return "params.wait is " .. params.wait .. "; expected more than 0" end
  if params.max < 1 then return "params.max is " .. params.max .. "; expected 1 or more" end
end

return rule
