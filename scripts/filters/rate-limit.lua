-- Lets so many events a second pass, and drops the rest.
-- Options:  per_second  how many pass in the long run; may be a fraction: 0.1 is one in ten seconds (default 10)
--           burst       how many may pass at once after a quiet time (default: per_second, at least 1)
--           by          a path such as "data.user" or "key": each value there has a limit of its own (default: one for the channel)
-- Reads:    the field `by`, the time.
-- Changes:  nothing. An event without the field `by` counts for its channel.
-- Keeps:    two numbers for each of the last 10,000 to 20,000 values, of all channels together; one that was forgotten begins with a full
--           burst again.
-- Cost:     about a microsecond.
local at = require("lib/at")

local rule = {
  params = {
    per_second = { type = "number", default = 10, description = "how many events pass a second" },
    burst = { type = "number", description = "how many may pass at once" },
    by = { type = "string", description = "a path; each value there has a limit of its own" },
  },
}

local kept_max = 10000
local tokens, since, count = {}, {}, 0
local old_tokens, old_since = {}, {}

function rule.filter(ev, ctx)
  local params = ctx.params
  local rate = params.per_second
  local burst = params.burst or math.max(1, rate)
  local name = ctx.channel
  if params.by then
    local value = at(ev, params.by)
    if type(value) == "table" then value = hub.json.encode(value) end
    if value ~= nil then name = name .. " " .. type(value) .. " " .. tostring(value) end
    if #name > 100 then name = hub.hash(name) end
  end
  local now = hub.now()
  local left = tokens[name]
  if not left then
    left = old_tokens[name] or burst
    since[name] = old_since[name] or now
    count = count + 1
  end
  left = math.min(burst, left + math.max(0, now - since[name]) / 1000 * rate)
  local pass = left >= 1
  tokens[name], since[name] = pass and left - 1 or left, now
  if count >= kept_max then
    old_tokens, old_since, tokens, since, count = tokens, since, {}, {}, 0
  end
  return pass, "rate limited"
end

function rule.check(params)
  local mistakes = {}
  if params.per_second <= 0 then mistakes[1] = "params.per_second is " .. params.per_second .. "; expected more than 0" end
  if params.burst and params.burst < 1 then mistakes[#mistakes + 1] = "params.burst is " .. params.burst .. "; expected 1 or more" end
  return mistakes
end

return rule
