-- Collects events and passes them on together, as one event: at the latest after the time that `every` says in the manifest, or when there are
-- `max` of them.
--   rules = [{ script = "filters/batch.lua", every = "1s", params = { max = 50 } }]
-- Options:  max    so many at the most (default 100)
--           event  the name of the event that they make (default "batch")
-- Changes:  the event's data is {"count": 2, "events": [{"event": "line", "time": 1767225600000, "key": "a", "data": ...}, ...]}, its time
--           that of the last one.
-- Keeps:    what was collected and not passed on, in memory; when the hub ends, or a reload brings another version of this rule, it goes on at once. A publisher is told that its event was dropped,
--           with the reason "batched".
-- Cost:     1 us and what it takes to copy the data, twice: about 50 ns for each value in it.
local rule = {
  params = {
    max = { type = "integer", default = 100, description = "how many events make a batch at the most" },
    event = { type = "string", default = "batch", description = "the name of what they make" },
  },
}

local waiting = {}  -- by channel: what has been collected
local name = "batch"

function rule.transform(ev, ctx)
  if ev.source == ctx.script then return ev end  -- what on_timer has published
  name = ctx.params.event
  local batch = waiting[ctx.channel]
  if not batch then
    batch = {}
    waiting[ctx.channel] = batch
  end
  batch[#batch + 1] = { event = ev.event, time = ev.time, key = ev.key, data = ev.data == nil and null or hub.copy(ev.data) }
  if #batch < ctx.params.max then return nil, "batched" end
  waiting[ctx.channel] = nil
  return { event = name, key = "", data = { count = #batch, events = hub.array(batch) } }
end

function rule.on_timer()
  local passed = 0
  for channel, batch in pairs(waiting) do
    if passed == 64 then return end  -- more can't be published in one call; the rest comes next time
    hub.publish(channel, name, { count = #batch, events = hub.array(batch) })
    waiting[channel] = nil
    passed = passed + 1
  end
end

function rule.on_stop()
  for channel, batch in pairs(waiting) do
    hub.publish(channel, name, { count = #batch, events = hub.array(batch) })
  end
end

function rule.check(params)
  if params.max < 1 or params.max > 10000 then return "params.max is " .. params.max .. "; expected 1 to 10000" end
end

return rule
