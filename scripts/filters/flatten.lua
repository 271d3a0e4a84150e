-- Makes one flat object of nested ones: {"a":{"b":1}} becomes {"a.b":1}.
-- Options:  separator  what stands between the names (default ".")
--           arrays     true: elements are taken apart as well, numbered from 0 (default false: arrays stay whole)
-- Reads:    all of data; data that is no object goes on as it is.
-- Changes:  data. Empty objects stay, members that are null are left out, numbers beyond 2^53 are rounded, and where two get
--           the same name one of them counts.
-- Cost:     about a microsecond for each field.
local rule = {
  params = {
    separator = { type = "string", default = ".", description = "what stands between the names" },
    arrays = { type = "boolean", default = false, description = "whether arrays are taken apart as well" },
  },
}

local function is_list(value) return #value > 0 end

function rule.transform(ev, ctx)
  local data = ev.data
  if type(data) ~= "table" or is_list(data) or next(data) == nil then return ev end
  local separator, arrays = ctx.params.separator, ctx.params.arrays
  local flat = {}
  local function put(name, value)
    if type(value) ~= "table" then
      flat[name] = value
    elseif is_list(value) then
      if not arrays then
        flat[name] = value
        return
      end
      for i = 1, #value do put(name .. separator .. (i - 1), value[i]) end
    elseif next(value) == nil then
      flat[name] = value
    else
      for key, below in pairs(value) do put(name .. separator .. key, below) end
    end
  end
  for key, value in pairs(data) do put(key, value) end
  ev.data = flat
  return ev
end

rule.tests = {
  { transform = { data = { a = { b = 1, c = { d = "x" } }, e = true } }, expect = { data = { ["a.b"] = 1, ["a.c.d"] = "x", e = true } } },
}
return rule
