-- Slows a channel down: of the events with the same key, the first goes on at once, and of those that follow within the time that `every` says in the manifest
-- only the newest, when that is over. For values that are written over and over, such as progress and positions.
--   rules = [{ script = "filters/latest-wins.lua", every = "200ms", params = { by = "data.id" } }]
-- Options:  by   a path; its value is the key (default "key")
--           max  so many keys at a time; events beyond them pass (default 1000)
-- Changes:  nothing in an event that goes on at once. One that was held comes with its name, key and data, and a new id.
-- Keeps:    what is held, in memory; when the hub ends, or a reload brings another version of this rule, it goes on at once. A publisher is told that its event was dropped, with the reason "held".
-- Cost:     1 us; for one that is held also what it takes to copy the data.
local at = require("lib/at")

local rule = {
  params = {
    by = { type = "string", default = "key", description = "a path; its value is the key" },
    max = { type = "integer", default = 1000, description = "how many keys at a time" },
  },
}

local seen = {}  -- by channel and key: { channel, key, event, data } once something is held
local count = 0

function rule.transform(ev, ctx)
  if ev.source == ctx.script then return ev end  -- held before
  local key = at(ev, ctx.params.by)
  if type(key) == "table" then return ev end
  local place = ctx.channel .. " " .. tostring(key)
  local known = seen[place]
  if not known then
    if count < ctx.params.max then
      seen[place] = { channel = ctx.channel }
      count = count + 1
    end
    return ev
  end
  known.event, known.data = ev.event, ev.data == nil and null or hub.copy(ev.data)
  return nil, "held"
end

function rule.on_timer()
  local passed = 0
  for place, held in pairs(seen) do
    if not held.event then
      seen[place] = nil
      count = count - 1
    elseif passed < 64 then  -- the rest comes next time
      hub.publish(held.channel, held.event, held.data)
      held.event, held.data = nil, nil
      passed = passed + 1
    end
  end
end

function rule.on_stop()
  for _, held in pairs(seen) do
    if held.event then hub.publish(held.channel, held.event, held.data) end
  end
end

function rule.check(params)
  if params.max < 1 then return "params.max is " .. params.max .. "; expected 1 or more" end
end

return rule
