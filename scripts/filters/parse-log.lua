-- Makes fields of a line of a log.
-- Options:  none.
-- Reads:    data.line; an event without one goes on as it is.
-- Changes:  adds what it finds: data.time (as the line writes it, dates with a T), data.level (trace, debug, info, warn,
--           error or fatal), data.host, data.program, data.pid, data.component, data.message, data.fields (key=value
--           pairs, or the object of a JSON line). data.line and data.file stay.
-- Knows:    syslog and journal ("Jan  1 12:00:00 host program[12]: text", also with ISO time and with <priority>),
--           dpkg.log, apt's history.log, "ISO-time level component message key=value" (the hub's own log),
--           "date time[,ms] level text", JSON lines. Of other lines: a level and the whole line as the message.
-- Cost:     two to five microseconds for a line.
local levels = {
  trace = "trace", verbose = "trace", debug = "debug", dbg = "debug", info = "info", information = "info", notice = "info",
  warn = "warn", warning = "warn", error = "error", err = "error", severe = "error",
  fatal = "fatal", crit = "fatal", critical = "fatal", alert = "fatal", emerg = "fatal", emergency = "fatal", panic = "fatal",
}
local by_priority = { [0] = "fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug" }
local by_number = { "trace", "debug", "info", "warn", "error", "fatal" }
local dpkg_words = {
  status = true, install = true, upgrade = true, configure = true, trigproc = true, startup = true, remove = true,
  purge = true, conffile = true, triggers = true,
}
local apt_words = {
  ["Start-Date"] = true, ["End-Date"] = true, Commandline = true, ["Requested-By"] = true, Install = true,
  Reinstall = true, Upgrade = true, Downgrade = true, Remove = true, Purge = true, Error = true,
  ["Log started"] = true, ["Log ended"] = true,
}

local function level_of(word) return word and levels[word:lower()] end

-- A level at the beginning of a text ("error: x", "[warn] x", "<info> x", "ERROR x"), or in capitals anywhere.
local function level_in(text)
  local found = level_of(text:match("^[%[<%(](%a+)[%]>%)]") or text:match("^(%a+):") or text:match("^(%u+)%f[%A]"))
  if found then return found end
  for word in text:gmatch("%f[%a](%u%u%u+)%f[%A]") do
    if levels[word:lower()] then return levels[word:lower()] end
  end
end

-- Splits "message key=value key2=\"a b\"" at the first pair; all that follows must be pairs.
local function split_pairs(text)
  local at = text:find("%f[%S][%w_.%-]+=")
  if not at then return text end
  local fields, rest = {}, text:sub(at)
  while rest ~= "" do
    local key, value, tail = rest:match('^([%w_.%-]+)="([^"]*)"%s*(.*)$')
    if not key then key, value, tail = rest:match("^([%w_.%-]+)=(%S*)%s*(.*)$") end
    if not key then return text end
    fields[key], rest = value, tail
  end
  return (text:sub(1, at - 1):gsub("%s+$", "")), fields
end

local function syslog(data, rest)
  local host, program, pid, message = rest:match("^(%S+) ([^%s%[:]+)%[(%d+)%]: ?(.*)$")
  if not host then host, program, message = rest:match("^(%S+) ([^%s%[:]+): ?(.*)$") end
  if not host or host:sub(-1) == ":" then return false end
  data.host, data.program, data.pid, data.message = host, program, tonumber(pid), message
  return true
end

local function json_line(data, line)
  local object = hub.json.decode(line)
  if type(object) ~= "table" then return false end
  local level = object.level or object.severity or object.lvl
  if type(level) == "number" then level = by_number[math.floor(level / 10)] else level = level_of(tostring(level)) end
  local message = object.message or object.msg
  local time = object.time or object.timestamp or object.ts
  data.level = level
  data.message = type(message) == "string" and message or nil
  data.time = time
  local component = object.component or object.logger or object.name
  data.component = type(component) == "string" and component or nil
  data.fields = object
  return true
end

-- After a time: the hub's own form, another with a level in front, or syslog's.
local function after_time(data, rest)
  local word, tail = rest:match("^%-?%s*[%[<%(]?(%a+)[%]>%)]?:?%s+(.*)$")
  local level = level_of(word)
  if level then
    data.level = level
    local component, message
    if word == word:lower() and rest:sub(1, #word) == word then component, message = tail:match("^([%w_./%-]+)%s+(.*)$") end
    if not component then component, message = tail:match("^%[?([%w_./%-]+)%]?:%s+(.*)$") end
    data.component = component
    data.message, data.fields = split_pairs(message or tail)
    return
  end
  if syslog(data, rest) then return end
  data.message = rest
end

local function parse(data, line)
  local priority, tail = line:match("^<(%d%d?%d?)>(.*)$")
  if priority then
    data.level = by_priority[tonumber(priority) % 8]
    line = tail
  end
  if line:sub(1, 1) == "{" and json_line(data, line) then return end

  local time, rest = line:match("^%[?(%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[%d.,:+Z%-]*)%]?%s+(.*)$")
  if time then
    data.time = time
    return after_time(data, rest)
  end
  local day, clock
  day, clock, rest = line:match("^%[?(%d%d%d%d%-%d%d%-%d%d) +(%d%d:%d%d:%d%d[%d.,]*)%]?%s+(.*)$")
  if day then
    data.time = day .. "T" .. clock:gsub(",", ".")
    local action = rest:match("^(%a+) ")
    if dpkg_words[action] then
      data.program, data.component, data.message = "dpkg", action, rest
      return
    end
    return after_time(data, rest)
  end
  time, rest = line:match("^(%a%a%a +%d+ %d%d:%d%d:%d%d) (.*)$")
  if time and syslog(data, rest) then
    data.time = time
    return
  end
  local key, value = line:match("^(%u[%w%- ]+): (.*)$")
  if key and apt_words[key] then
    data.program, data.component, data.message = "apt", key, value
    local date, hour = value:match("^(%d%d%d%d%-%d%d%-%d%d)  ?(%d%d:%d%d:%d%d)$")
    if date then data.time = date .. "T" .. hour end
    return
  end
  data.message = line
end

local rule = {}

function rule.transform(ev)
  local data = ev.data
  if type(data) ~= "table" or type(data.line) ~= "string" then return ev end
  parse(data, data.line)
  if not data.level and data.message then data.level = level_in(data.message) end
  return ev
end

rule.tests = {
  { transform = { event = "line", data = { line = "Jan  1 12:00:00 box cron[7]: error: no mail", file = "f" } },
    expect = { data = { line = "Jan  1 12:00:00 box cron[7]: error: no mail", file = "f", time = "Jan  1 12:00:00",
                        host = "box", program = "cron", pid = 7, message = "error: no mail", level = "error" } } },
}
return rule
