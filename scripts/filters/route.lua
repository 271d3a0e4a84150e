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
    rules = { type = "array", of = "object", required = true, description = "what goes where: {{when = {field = ..., equals = ...}, channel = ...}}" },
    keep = { type = "boolean", default = true, description = "whether routed events also go on in their own channel" },
  },
}

local prepared_for, routes

local entry_keys = { when = "table", channel = "string", event = "string" }
local when_keys = { field = "string", equals = "any", one_of = "table", prefix = "string", exists = "boolean" }

local function prepare(params)
  routes = {}
  for i, entry in ipairs(params.rules) do
    local when = entry.when
    local route = { channel = entry.channel, event = entry.event }
    if when then
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

-- What is wrong with the keys of a table: unknown, or of another type.
local function look_over(node, where, keys, all, mistakes)
  local order = {}
  for key in pairs(node) do order[#order + 1] = tostring(key) end
  table.sort(order)
  for _, key in ipairs(order) do
    local wanted, place = keys[key], where .. "." .. key
    if not wanted then mistakes[#mistakes + 1] = place .. " is unknown; there are " .. all
    elseif wanted ~= "any" and type(node[key]) ~= wanted then
      mistakes[#mistakes + 1] = place .. " is a " .. type(node[key]) .. "; expected a " .. (wanted == "table" and "list or table" or wanted)
    end
  end
end

function rule.check(params)
  local mistakes = {}
  for i, entry in ipairs(params.rules) do
    local where = "params.rules[" .. i .. "]"
    look_over(entry, where, entry_keys, "when, channel and event", mistakes)
    if entry.channel == nil then mistakes[#mistakes + 1] = where .. ".channel is missing" end
    if type(entry.when) == "table" then
      look_over(entry.when, where .. ".when", when_keys, "field, equals, one_of, prefix and exists", mistakes)
      if entry.when.field == nil then mistakes[#mistakes + 1] = where .. ".when.field is missing" end
    end
  end
  return mistakes
end

return rule
