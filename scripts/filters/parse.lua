-- Makes fields of a text in a format that is known beforehand. (For log lines of mixed formats there is parse-log.)
-- Options:  format   "logfmt" (level=info msg="a b"), "pairs" (a=1, b = 2; divided by commas, semicolons or blanks), "clf" (the common and the
--                    combined log format of web servers), "json"
--           from     the path of the text (default "data.line")
--           into     the path where the fields go (default "data": beside what is there)
--           on_fail  what becomes of an event whose text does not parse: "keep" (default) or "drop"
-- Reads:    the text. An event without one goes on as it is.
-- Changes:  adds the fields. Numbers of clf (status, bytes) are numbers; those of logfmt and pairs are, with numbers = true.
-- Cost:     about a microsecond, and 0.3 for each field.
local at = require("lib/at")

local rule = {
  params = {
    format = { type = "string", required = true, enum = { "logfmt", "pairs", "clf", "json" }, description = "of the text" },
    from = { type = "string", default = "data.line", description = "the path of the text" },
    into = { type = "string", default = "data", description = "the path where the fields go" },
    numbers = { type = "boolean", default = false, description = "whether values that look like numbers become numbers" },
    on_fail = { type = "string", default = "keep", enum = { "keep", "drop" }, description = "what does not parse" },
  },
}

-- The table at a path, made where there is none; nil where something else stands.
local function table_at(ev, path)
  local node = ev
  for step in path:gmatch("[^.]+") do
    if node[step] == nil then node[step] = {} end
    node = node[step]
    if type(node) ~= "table" then return nil end
  end
  return node
end

local function value_of(text, numbers)
  if numbers and text:find("^%-?%d+%.?%d*$") and #text < 16 then return tonumber(text) end
  return text
end

local escapes = { n = "\n", t = "\t", r = "\r" }
local function unquoted(text)
  return (text:gsub("\\(.)", function(c) return escapes[c] or c end))
end

local parsers = {}

-- key=value, key="quoted value", and keys without a value, which are true.
function parsers.logfmt(text, numbers)
  local fields, place = {}, 1
  while true do
    place = text:find("%S", place)
    if not place then break end
    local key, stop = text:match("^([^%s=\"]+)()", place)
    if not key then return nil end
    if text:sub(stop, stop) ~= "=" then
      fields[key], place = true, stop
    elseif text:sub(stop + 1, stop + 1) == '"' then
      local close = stop + 2
      while true do
        close = text:find('["\\]', close)
        if not close then return nil end
        if text:sub(close, close) == '"' then break end
        close = close + 2
      end
      fields[key], place = unquoted(text:sub(stop + 2, close - 1)), close + 1
    else
      local value, after = text:match("^(%S*)()", stop + 1)
      fields[key], place = value_of(value, numbers), after
    end
  end
  return next(fields) ~= nil and fields or nil
end

function parsers.pairs(text, numbers)
  local fields, place = {}, 1
  while true do
    place = text:find("[^%s,;]", place)
    if not place then break end
    local key, stop = text:match("^([%w_.%-]+)%s*=%s*()", place)
    if not key then return nil end
    local quoted, after = text:match('^"([^"]*)"()', stop)
    if quoted then
      fields[key], place = quoted, after
    else
      local value, behind = text:match("^([^%s,;]*)()", stop)
      fields[key], place = value_of(value, numbers), behind
    end
  end
  return next(fields) ~= nil and fields or nil
end

local function given(text) return text ~= "-" and text or nil end

function parsers.clf(text)
  local host, ident, user, time, request, status, bytes, rest =
    text:match('^(%S+) (%S+) (.-) %[([^%]]+)%] "(.-)" (%d%d%d) (%S+)(.*)$')
  if not host then return nil end
  local fields = { host = host, ident = given(ident), user = given(user), time = time, request = request,
                   status = tonumber(status), bytes = tonumber(bytes) }
  fields.method, fields.path, fields.protocol = request:match("^(%u+) (%S+) (%S+)$")
  local referer, agent = rest:match('^ "(.-)" "(.-)"')
  fields.referer, fields.agent = referer and given(referer), agent and given(agent)
  return fields
end

function parsers.json(text)
  local value = hub.json.decode(text)
  return type(value) == "table" and value[1] == nil and value or nil
end

function rule.transform(ev, ctx)
  local p = ctx.params
  local text = at(ev, p.from)
  if type(text) ~= "string" then return ev end
  local fields = parsers[p.format](text, p.numbers)
  local into = fields and table_at(ev, p.into)
  if not into then
    if p.on_fail == "drop" then return nil, "not " .. p.format end
    return ev
  end
  for name, value in pairs(fields) do into[name] = value end
  return ev
end

function rule.check(params)
  if not (params.into == "data" or params.into:find("^data%.")) then
    return 'params.into is "' .. params.into .. '"; expected "data" or a path below it, such as "data.fields"'
  end
end

return rule
