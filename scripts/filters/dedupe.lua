-- Drops events that came already.
-- Options:  by       a path: events with the same value there are the same event (default "id"; without an id the hub makes one
--                    that is new each time, so name a field of data where publishers give none)
--           seconds  for how long an event is remembered, from its first time on (default 60)
-- Reads:    the field `by`, the time.
-- Changes:  nothing. An event without the field is kept. Each channel is looked at for itself.
-- Keeps:    the time of the last 10,000 to 20,000 values, of all channels together; one that was forgotten passes again.
-- Cost:     about a microsecond.
local at = require("lib/at")

local rule = {
  params = {
    by = { type = "string", default = "id", description = "a path; events with the same value there are the same" },
    seconds = { type = "number", default = 60, description = "for how long an event is remembered" },
  },
}

local kept_max = 10000
local seen, count = {}, 0
local old = {}

function rule.filter(ev, ctx)
  local value = at(ev, ctx.params.by)
  if value == nil or value == "" then return true end
  if type(value) == "table" then value = hub.json.encode(value) end
  local name = ctx.channel .. " " .. type(value) .. " " .. tostring(value)
  if #name > 100 then name = hub.hash(name) end
  local now = hub.now()
  local first = seen[name] or old[name]
  if first and now - first < ctx.params.seconds * 1000 then return false, "duplicate" end
  if not seen[name] then count = count + 1 end
  seen[name] = now
  if count >= kept_max then old, seen, count = seen, {}, 0 end
  return true
end

function rule.check(params)
  if params.seconds <= 0 then return "params.seconds is " .. params.seconds .. "; expected more than 0" end
end

return rule
