-- The last rule of logs/{file}: yours to change. Start the hub again and the page shows what it does now.
-- Reads data.line; adds data.about to lines of the package manager.
local rule = {}

-- true keeps the event; false drops it, and the second value is the reason that the hub counts.
function rule.filter(ev, ctx)
  if ev.event == "line" and ev.data.line == "" then return false, "empty line" end
  return true
end

-- What comes back is what subscribers get.
function rule.transform(ev, ctx)
  local line = ev.data.line
  if type(line) == "string" and line:find(" installed ", 1, true) then
    ev.data.about = "a package was installed"
  end
  return ev
end

rule.tests = {
  { filter = { event = "line", data = { line = "" } }, expect = false },
  { filter = { event = "line", data = { line = "hello" } }, expect = true },
}

return rule
