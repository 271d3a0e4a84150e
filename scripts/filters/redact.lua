-- Takes secrets out of events: whole fields by their path, and parts of texts by a Lua pattern.
-- Options:  fields       paths to replace: {"data.secret", "data.users.*.password"}; * stands for every key or element
--           patterns     Lua patterns, looked for in every string value below data: {"%d%d%d%d%-%d%d%d%d"}
--           replacement  what is written in their place (default "[redacted]")
-- For what looks like a secret, whatever it is called, there is filters/secrets.lua.
-- Reads:    only the named fields; with patterns all of data.
-- Changes:  the strings and fields that match. A field that is not there is not made.
-- Cost:     about a microsecond for a few fields; with patterns every text is searched once for each of them.
local rule = {
  params = {
    fields = { type = "array", of = "string", default = {}, description = "paths such as data.secret or data.users.*.password" },
    patterns = { type = "array", of = "pattern", default = {}, description = "Lua patterns replaced inside of string values" },
    replacement = { type = "string", default = "[redacted]", description = "what stands there afterwards" },
  },
}

local prepared_for, paths, replacement, replacement_text

-- Params never change while a rule runs, so they are taken apart once.
local function prepare(params)
  prepared_for, paths = params, {}
  replacement = params.replacement
  replacement_text = replacement:gsub("%%", "%%%%")
  for i, path in ipairs(params.fields) do
    local steps = {}
    for step in path:gmatch("[^.]+") do steps[#steps + 1] = step end
    paths[i] = steps
  end
end

local function replace(node, steps, at)
  if type(node) ~= "table" then return end
  local step = steps[at]
  local last = at == #steps
  if step == "*" then
    for key, value in pairs(node) do
      if last then node[key] = replacement else replace(value, steps, at + 1) end
    end
    return
  end
  local key = step
  if node[key] == nil then key = tonumber(step) and tonumber(step) + 1 end  -- paths count elements from 0
  if key == nil or node[key] == nil then return end
  if last then node[key] = replacement else replace(node[key], steps, at + 1) end
end

local function clean(text, patterns)
  for _, pattern in ipairs(patterns) do text = text:gsub(pattern, replacement_text) end
  return text
end

local function clean_all(node, patterns)
  for key, value in pairs(node) do
    if type(value) == "string" then
      local cleaned = clean(value, patterns)
      if cleaned ~= value then node[key] = cleaned end
    elseif type(value) == "table" then
      clean_all(value, patterns)
    end
  end
end

function rule.transform(ev, ctx)
  local params = ctx.params
  if prepared_for ~= params then prepare(params) end
  for _, steps in ipairs(paths) do
    if #steps == 1 then ev.data = replacement else replace(ev.data, steps, 2) end
  end
  if #params.patterns > 0 then
    local data = ev.data
    if type(data) == "table" then clean_all(data, params.patterns)
    elseif type(data) == "string" then ev.data = clean(data, params.patterns) end
  end
  return ev
end

function rule.check(params)
  local mistakes = {}
  for i, path in ipairs(params.fields) do
    if path:match("[^.]+") ~= "data" then
      mistakes[#mistakes + 1] = "params.fields[" .. i .. "] is '" .. path .. "'; a path must begin with data"
    end
  end
  return mistakes
end

rule.tests = {
  { transform = { event = "x", data = { secret = "s", open = 1 } }, params = { fields = { "data.secret" } },
    expect = { data = { secret = "[redacted]", open = 1 } } },
}
return rule
