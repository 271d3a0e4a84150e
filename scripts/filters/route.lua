-- Publishes events on further channels, by what is in them.
-- Options:  rules  a list of { when = { field = "data.level", equals = "error" }, channel = "alerts", event = "alarm"? }
--                  `when` has a field (event, key, source, channel, data and below) and one of
--                    equals = value, one_of = {values}, prefix = "text", exists = true | false; without `when` all match.
--                  `channel` may hold {name}, a variable of this channel's pattern.
--           keep   false: events that were routed do not go on in this channel (default true)
-- Reads:    the fields of the conditions.
-- Changes:  nothing. Every entry that matches publishes once; the hub stops events that go in circles.
-- Cost:     about a microsecond, and one more publication for each match.
local rule = {
  params = {
    rules = { type = "array", required = true, description = "what goes where: {{when = {field = ..., equals = ...}, channel = ...}}" },
    keep = { type = "boolean", default = true, description = "whether routed events also go on in their own channel" },
  },
}

local prepared_for, routes

local known = { field = true, equals = true, one_of = true, prefix = true, exists = true }

local function prepare(params)
  routes = {}
  for i, entry in ipairs(params.rules) do
    local where = "params.rules[" .. i .. "]"
    if type(entry.channel) ~= "string" then error(where .. ".channel is missing", 0) end
    local when = entry.when
    local route = { channel = entry.channel, event = entry.event }
    if when then
      if type(when.field) ~= "string" then error(where .. ".when.field is missing", 0) end
      for key in pairs(when) do
        if not known[key] then error(where .. ".when." .. key .. " is unknown; there are field, equals, one_of, prefix and exists", 0) end
      end
      route.when = when
      route.steps = {}
      for step in when.field:gmatch("[^.]+") do route.steps[#route.steps + 1] = step end
      if when.one_of then
        route.set = {}
        for _, value in ipairs(when.one_of) do route.set[value] = true end
      end
    end
    routes[i] = route
  end
  prepared_for = params
end

local function matches(route, ev)
  local when = route.when
  if not when then return true end
  local value = ev
  for _, step in ipairs(route.steps) do
    if type(value) ~= "table" then value = nil break end
    value = value[step]
  end
  if when.exists ~= nil then return (value ~= nil) == when.exists end
  if value == nil then return false end
  if route.set then return route.set[value] == true end
  if when.prefix then return type(value) == "string" and value:sub(1, #when.prefix) == when.prefix end
  if when.equals ~= nil then return value == when.equals end
  return true
end

function rule.filter(ev, ctx)
  if prepared_for ~= ctx.params then prepare(ctx.params) end
  local routed = false
  for _, route in ipairs(routes) do
    if matches(route, ev) then
      local channel = route.channel:gsub("{([%w_]+)}", ctx.vars)
      hub.publish(channel, route.event or ev.event, ev.data)
      routed = true
    end
  end
  return ctx.params.keep or not routed, "routed"
end

return rule
