-- Puts a part of each event into hub.kv, where rules of other channels find it (enrich, for one).
-- Options:  key      the path of what it is remembered by (default "key")
--           value    the path of what is remembered (default "data")
--           prefix   in front of the key in hub.kv (default "")
--           seconds  for how long; 0: as long as the hub runs (default 0)
--           keep     whether the event goes on (default true)
-- Changes:  nothing. An event without the key goes on and is not remembered; one whose value is missing or null forgets the key.
-- Limits:   limits.kv_bytes for all of hub.kv. When that is full the event goes on, and the log says so.
-- Cost:     1 us, and 50 ns for each value in it.
local at = require("lib/at")

local rule = {
  params = {
    key = { type = "string", default = "key", description = "the path of what it is remembered by" },
    value = { type = "string", default = "data", description = "the path of what is remembered" },
    prefix = { type = "string", default = "", description = "in front of the key in hub.kv" },
    seconds = { type = "number", default = 0, description = "for how long; 0: as long as the hub runs" },
    keep = { type = "boolean", default = true, description = "whether the event goes on" },
  },
}

function rule.filter(ev, ctx)
  local p = ctx.params
  local key = at(ev, p.key)
  if key ~= nil and key ~= "" and type(key) ~= "table" then
    local name = p.prefix .. tostring(key)
    if #name > 255 then name = p.prefix:sub(1, 100) .. hub.hash(name) end
    local value = at(ev, p.value)
    if value == nil or value == null then
      hub.kv.delete(name)
    elseif not hub.kv.set(name, value, p.seconds > 0 and p.seconds or nil) then
      hub.log("warn", "hub.kv is full (limits.kv_bytes); " .. name .. " is not remembered")
    end
  end
  return p.keep, "remembered"
end

function rule.check(params)
  if params.seconds < 0 then return "params.seconds is " .. params.seconds .. "; expected 0 or more" end
  if #params.prefix > 100 then return "params.prefix has " .. #params.prefix .. " bytes; expected at most 100" end
end

return rule
