-- Counts and sums over windows of time: what came since the last one, by key, as an event of its own.
--   rules = [{ script = "filters/window.lua", every = "10s", params = { by = "data.level", value = "data.ms", to = "metrics/levels" } }]
-- Options:  by     a path; its value is the key that is counted by (default: all together, under "all")
--           value  a path; of the numbers there min, max and sum are told as well (default: none)
--           to     the channel that gets the window (default: the same)
--           event  the name of the window's event (default "window")
--           keep   whether the events that are counted go on (default true)
--           max    so many keys in a window; the rest counts under "other" (default 100)
-- Makes:    {"from": 1767225600000, "to": 1767225610000, "keys": {"error": {"count": 2, "sum": 30, "min": 10, "max": 20}}}, as often as `every` in the manifest
--           says, once also when nothing came: then `keys` is empty. Windows begin with an event.
-- Cost:     1 us.
local at = require("lib/at")

local rule = {
  params = {
    by = { type = "string", default = "", description = "a path; its value is the key" },
    value = { type = "string", default = "", description = "a path; numbers there are summed" },
    to = { type = "string", default = "", description = "the channel that gets the window" },
    event = { type = "string", default = "window", description = "the name of its event" },
    keep = { type = "boolean", default = true, description = "whether the events go on" },
    max = { type = "integer", default = 100, description = "how many keys in a window" },
  },
}

local windows = {}  -- by channel: { from, keys, count, params }

function rule.filter(ev, ctx)
  if ev.source == ctx.script then return true end  -- a window
  local p = ctx.params
  local window = windows[ctx.channel]
  if not window then
    window = { from = hub.now(), keys = {}, count = 0, params = p }
    windows[ctx.channel] = window
  end
  local key = p.by == "" and "all" or at(ev, p.by)
  key = type(key) == "table" and "other" or tostring(key)
  local entry = window.keys[key]
  if not entry and window.count >= p.max then
    key = "other"
    entry = window.keys[key]
  end
  if not entry then
    entry = { count = 0 }
    window.keys[key] = entry
    window.count = window.count + 1
  end
  entry.count = entry.count + 1
  local value = p.value ~= "" and at(ev, p.value)
  if type(value) == "number" then
    entry.sum = (entry.sum or 0) + value
    entry.min = math.min(entry.min or value, value)
    entry.max = math.max(entry.max or value, value)
  end
  return p.keep, "counted"
end

function rule.on_timer(now)
  local told = 0
  for channel, window in pairs(windows) do
    if told == 64 then return end  -- more can't be published in one call; the windows of the rest are longer
    if window.from < now then
      local p = window.params
      hub.publish(p.to ~= "" and p.to or channel, p.event, { from = window.from, to = now, keys = window.keys })
      if window.count == 0 then windows[channel] = nil end
      window.from, window.keys, window.count = now, {}, 0
      told = told + 1
    end
  end
end

function rule.on_stop(now)
  for channel, window in pairs(windows) do
    local p = window.params
    if window.count ~= 0 then hub.publish(p.to ~= "" and p.to or channel, p.event, { from = window.from, to = now, keys = window.keys }) end
  end
end

function rule.check(params)
  if params.max < 1 then return "params.max is " .. params.max .. "; expected 1 or more" end
end

return rule
