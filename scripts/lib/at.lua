-- The value at a path such as "data.user.id", or nil where the path ends before.
--   local at = require("lib/at")
--   local user = at(ev, ctx.params.by)
return function(ev, path)
  local node = ev
  for step in path:gmatch("[^.]+") do
    if type(node) ~= "table" then return nil end
    node = node[step]
  end
  return node
end
