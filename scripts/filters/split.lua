-- Makes an event of each element of an array.
-- Options:  field  where the array stands, below data; dots divide (default: data itself)
--           as     what an element is called in its event; the other fields of data go with each (default: data is the element)
--           event  the name of the new events (default: that of the event)
-- Reads:    data.<field>; an event without an array there goes on as it is.
-- Changes:  the event is replaced by one for each element, in order, with its key and time. An empty array drops it. More than
--           16 elements are an error, as hub.many makes no more. With `as` the other fields are copied: those that are null are left out, and numbers beyond 2^53
--           are rounded.
-- Cost:     about two microseconds, and one for each element.
local rule = {
  params = {
    field = { type = "string", description = "where the array stands, below data" },
    as = { type = "string", description = "what an element is called beside the other fields" },
    event = { type = "string", description = "the name of the new events" },
  },
}

local function is_array(value) return type(value) == "table" and (#value > 0 or next(value) == nil) end

function rule.transform(ev, ctx)
  local params = ctx.params
  local parent, name, list = nil, nil, ev.data
  if params.field then
    for step in params.field:gmatch("[^.]+") do
      if type(list) ~= "table" then return ev end
      parent, name, list = list, step, list[step]
    end
  end
  -- An empty object looks like an empty array, so it is asked for its JSON.
  if not is_array(list) or (#list == 0 and hub.json.encode(list) ~= "[]") then return ev end
  if #list == 0 then return nil, "nothing to split" end
  local events = {}
  for i = 1, #list do
    local data = list[i]
    if params.as then
      data = {}
      if parent then
        for key, value in pairs(ev.data) do data[key] = value end
        if not params.field:find(".", 1, true) then data[name] = nil end
      end
      data[params.as] = list[i]
    end
    events[i] = { event = params.event or ev.event, key = ev.key, time = ev.time, data = data }
  end
  return hub.many(events)
end

function rule.check(params)
  if params.as and params.field and params.field:find(".", 1, true) then
    return "params.as needs a field directly below data, and params.field is '" .. params.field .. "'"
  end
end

return rule
