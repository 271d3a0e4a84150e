-- Keeps the events that are at least as severe as asked for.
-- Options:  at_least  the least level that passes: trace, debug, info, warn, error, fatal (default info)
--           field     where the level stands, below data (default "level")
-- Reads:    data.<field>; where that is missing, the first word in data.line that names a level.
-- Changes:  nothing. An event in which no level is found is kept: better one line too many than a lost one.
-- Cost:     well below a microsecond with a level field; a scan of the line without.
local at = require("lib/at")

local names = {
  trace = 1, verbose = 1, finest = 1,
  debug = 2, dbg = 2, fine = 2,
  info = 3, information = 3, notice = 3,
  warn = 4, warning = 4,
  error = 5, err = 5, severe = 5,
  fatal = 6, crit = 6, critical = 6, alert = 6, emerg = 6, emergency = 6, panic = 6,
}

local rule = {
  params = {
    at_least = { type = "string", default = "info", enum = { "trace", "debug", "info", "warn", "error", "fatal" },
                 description = "the least level that passes" },
    field = { type = "string", default = "level", description = "where the level stands, below data; dots divide" },
  },
}

-- A level word in any case, or one of the numbers that pino and bunyan use (10 is trace, 60 is fatal).
local function rank(value)
  if type(value) == "string" then return names[value:lower()] end
  if type(value) == "number" and value >= 10 and value <= 60 then return math.floor(value / 10) end
end

local function rank_of_line(line)
  for word in line:gmatch("%a+") do
    local found = #word >= 3 and names[word:lower()]
    if found then return found end
  end
end

function rule.filter(ev, ctx)
  local data = ev.data
  if type(data) ~= "table" then return true end
  local found = rank(at(data, ctx.params.field))
  if not found and type(data.line) == "string" then found = rank_of_line(data.line) end
  return not found or found >= names[ctx.params.at_least], "below the level"
end

rule.tests = {
  { filter = { event = "line", data = { level = "debug" } }, expect = false, reason = "below the level" },
  { filter = { event = "line", data = { level = "WARNING" } }, expect = true },
  { filter = { event = "line", data = { line = "nothing to see" } }, expect = true },
}
return rule
