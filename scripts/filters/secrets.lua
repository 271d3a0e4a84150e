-- Hides what looks like a secret: in texts, and in fields whose name says that they hold one.
-- Options:  replacement  what is written in a secret's place (default "[hidden]")
--           also         further names whose values are hidden: {"pin", "license_key"}
--           except       names whose values stay: {"next_token"}
-- Hides:    in any case, with any of _ - . or a capital between the words of a name:
--             password=x   DB_PASSWORD: x   "apiKey":"x"   secret = "a b"   --token x   Authorization: Basic x   Cookie: a=b
--             postgres://user:x@host   Bearer x   keys as AWS, Google, GitHub, GitLab, Slack and Stripe make them
--             JSON Web Tokens   private keys in PEM, also when each line of data.line is an event of its own
--           and fields below data with such a name. Only the value goes: a line of JSON stays JSON, quotes stay quotes.
-- Keeps:    true, false, null, empty values; counts (tokens=512); names that only contain a word (token_type, author);
--           PWD=/a/path; a package or a PAM module (passwd:amd64, passwd:chauthtok).
-- Reads:    all of data. Put it first in `rules`, so that no later rule sees a secret.
-- Changes:  the strings and fields that hold secrets, and nothing else.
-- Cost:     three to five microseconds for a line without a secret, about as many for each secret. A text with so many that the
--           budget ends is dropped (unless on_error says otherwise) and never goes on half done.
local rule = {
  params = {
    replacement = { type = "string", default = "[hidden]", description = "what stands there afterwards" },
    also = { type = "array", of = "string", default = {}, description = "further names whose values are hidden" },
    except = { type = "array", of = "string", default = {}, description = "names whose values stay" },
  },
}

-- A name, without what divides its words, tells by how it ends what its value is:
--   value; several (a plural: a number is then a count); sentence (may have spaces); scheme ("Bearer x"); cookies ("a=b; c=d")
local endings = {
  password = "value", passwd = "value", passcode = "value", passwordhash = "value", passwordconfirm = "value",
  passwordconfirmation = "value", pwd = "value", secret = "value", secretstring = "value", token = "value",
  apikey = "value", accesskey = "value", accesskeyid = "value", secretkey = "value", secretkeybase = "value", privatekey = "value",
  encryptionkey = "value", signingkey = "value", masterkey = "value", authkey = "value", sharedkey = "value",
  accountkey = "value", sshkey = "value", sessionkey = "value", credential = "value", jwt = "value",
  amzsignature = "value", passphrase = "sentence", authorization = "scheme", cookie = "cookies",
  passwords = "several", passwds = "several", secrets = "several", tokens = "several", credentials = "several",
  apikeys = "several", accesskeys = "several", privatekeys = "several", cookies = "several",
}
-- Every name above has one of these in it. They are looked for first, so that lines without cost next to nothing.
local stems = { "pass", "pw", "secret", "token", "key", "credential", "authorization", "cookie", "jwt", "amz-signature" }
local all_stems

-- Of ten thousand lines hardly one is hurt by keeping these, and many would be by hiding them.
local harmless = { ["true"] = true, ["false"] = true, null = true, ["nil"] = true, none = true, undefined = true }
local behind_colon = {  -- "status installed passwd:amd64", "pam_unix(passwd:chauthtok)"
  amd64 = true, arm64 = true, armhf = true, armel = true, i386 = true, riscv64 = true, ppc64el = true, s390x = true,
  all = true, any = true, auth = true, account = true, session = true, chauthtok = true, setcred = true,
}
local schemes = {
  bearer = 1, basic = 1, token = 1, apikey = 1, negotiate = 1, ntlm = 1, key = 1,
  digest = 2, hawk = 2, signature = 2, ["aws4-hmac-sha256"] = 2,  -- 2: all that follows belongs to it
}
local no_credential = {  -- what may stand behind the word "bearer" in a sentence
  auth = true, authentication = true, authorization = true, token = true, tokens = true, of = true, is = true, was = true,
  ["and"] = true, ["or"] = true, ["not"] = true, scheme = true, realm = true, format = true, header = true,
}
-- { how it begins, the characters behind that, how many of them at least }
local makers = {
  { "AKIA", "^[%u%d]+", 16 }, { "ASIA", "^[%u%d]+", 16 }, { "AIza", "^[%w_%-]+", 30 }, { "ghp_", "^%w+", 20 },
  { "ghs_", "^%w+", 20 }, { "gho_", "^%w+", 20 }, { "github_pat_", "^[%w_]+", 20 }, { "glpat-", "^[%w_%-]+", 16 },
  { "xox", "^[abeoprs]%-[%w%-]+", 10 }, { "k_live_", "^%w+", 16 }, { "sk-", "^[%w_%-]+", 20 },
}
local openers = { [")"] = "(", ["]"] = "[", ["}"] = "{", [">"] = "<" }
local name_part = "[%w_.%-]"
local kNames, kPemLines = 1000, 200  -- names remembered; lines of one private key

local prepared_for, replacement, escaped, known, known_count, own

local function joined(name) return (name:lower():gsub("[^%w]", ""):gsub("(%a)%d+$", "%1")) end

-- Params never change while a rule runs, so they are taken apart once.
local function prepare(params)
  prepared_for, known, known_count, own = params, {}, 0, {}
  replacement = params.replacement
  escaped = replacement:gsub('[\\"]', "\\%0")  -- as it stands between quotes
  all_stems = {}
  for i, stem in ipairs(stems) do all_stems[i] = stem end
  for _, name in ipairs(params.also) do
    own[joined(name)] = "value"
    all_stems[#all_stems + 1] = name:lower():match("%w+")
  end
  for _, name in ipairs(params.except) do own[joined(name)] = false end
end

-- What the value of a name is, as in `endings`; false: no secret. "count" is a bare `pass`, which may be one of tests.
local function look_up(name)
  local plain = joined(name)
  if own[plain] ~= nil then return own[plain] end
  for from = math.max(1, #plain - 19), #plain do
    local kind = endings[plain:sub(from)]
    if kind then return kind end
  end
  if plain == "pass" or plain == "pw" then return "count" end
  local last = name:gsub("(%l)(%u)", "%1_%2"):lower():gsub("%d+$", ""):match("%a+$")
  return (last == "pass" or last == "pw") and "value" or false
end
local function kind_of(name)
  local kind = known[name]
  if kind == nil then
    if #name > 128 then name = name:sub(-128) end
    if known_count >= kNames then known, known_count = {}, 0 end
    kind, known_count = look_up(name), known_count + 1
    known[name] = kind
  end
  return kind
end

-- Where the quote stands that closes a text begun with `slashes` backslashes and `quote`, from `at` on.
-- Each level of JSON in JSON doubles the backslashes: \" closes at level one, where \\\" is a quote inside of it.
local function closing(text, at, slashes, quote)
  local place = at
  while true do
    place = text:find(quote, place, true)
    if not place then return nil end
    local run = 0
    while place - run > at and text:byte(place - run - 1) == 92 do run = run + 1 end
    if run % (2 * slashes + 2) == slashes then return place - slashes end
    place = place + 1
  end
end

-- The end of the object or array of JSON that begins at `at`; nil: it does not end.
local function container_end(text, at, slashes)
  local depth, place = 0, at
  while true do
    place = text:find('["%[%]{}]', place)
    if not place then return nil end
    local char = text:sub(place, place)
    if char == '"' then
      local close = closing(text, place + 1, slashes, '"')
      if not close then return nil end
      place = close + slashes
    elseif char == "{" or char == "[" then
      depth = depth + 1
    else
      depth = depth - 1
      if depth == 0 then return place end
    end
    place = place + 1
  end
end

-- Does `at` stand inside of a text in double quotes that began earlier in the line?
local function in_quotes(text, at)
  local before = text:sub(1, at)
  local _, all = before:gsub('"', "")
  local _, escaped_ones = before:gsub('\\+"', "")
  return (all - escaped_ones) % 2 == 1
end

-- A word without what belongs to the line around it: the next pair, a quote or bracket that was opened before.
local function trim(text, word, name_from, pairs_end_it)
  local cut = pairs_end_it and word:find("[,;&]" .. name_part .. "+[\"']?[=:]")
  if cut then word = word:sub(1, cut - 1) end
  if word:find("[\"']") then
    cut = word:find("\\*[\"'][%s,;:%]})>\\&]") or word:find("\\*[\"']$")
    local first = word:find('\\*"')
    if first and (not cut or first < cut) and in_quotes(text, name_from) then cut = first end
    if cut then word = word:sub(1, cut - 1) end
  end
  word = word:gsub("([%)%]}>]):$", "%1")
  local size = #word
  while size > 0 do
    local last = word:sub(size, size)
    local opener = openers[last]
    if last ~= "," and last ~= ";" and not (opener and not word:find(opener, 1, true)) then break end
    size = size - 1
  end
  return word:sub(1, size)
end

-- Where a value that may have spaces ends: before the next name=, a comma, a closing quote or the end of the line.
local function sentence_end(text, at)
  local stop = text:find("[\r\n,;]", at) or #text + 1
  local pair = text:find("%s" .. name_part .. "+=", at)
  local quote = text:find("\\*[\"']", at)
  if pair and pair < stop then stop = pair end
  if quote and quote < stop then stop = quote end
  return stop - 1
end

-- A value that tells nothing, or is none.
local function stays(text, name, kind, sep, gap, value)
  if value == "" or value == replacement or value:find("^%*+$") then return true end
  if kind == "several" and value:find("^%d[%d.,_]*%a?$") then return true end
  if kind == "count" and value:find("^%d+$") and text:lower():find("fail", 1, true) then return true end
  if (name == "PWD" or name == "OLDPWD") and value:sub(1, 1) == "/" then return true end
  return sep == ":" and gap == "" and behind_colon[value:lower()]
end

-- What is to be done about a name at from..to that has a secret behind it: where, until where, what is written there.
local function value_of(text, from, to)
  local name = text:sub(from, to)
  local kind = kind_of(name)
  if not kind and name:lower() == "key" then  -- "API key: x"
    local word = text:sub(math.max(1, from - 16), from - 1):match("(%a+) $")
    kind = word and kind_of(word .. "key")
  end
  if not kind then return nil end
  local slashes, quote, before, sep, gap, at = text:match("^(\\*)([\"']?)%]?([ \t]*)([=:][=>]?)([ \t]*)()", to + 1)
  if not sep then
    if text:find("^[<:]", from - 1) and text:sub(to + 1, to + 1) == ">" then  -- <password>x</password>
      local stop = text:find("<", to + 2, true)
      if stop and stop > to + 2 then return to + 2, stop - 1, replacement end
      return nil
    end
    at = name:sub(1, 2) == "--" and text:match("^[ \t]+()[^%s%-]", to + 1)  -- --password x
    if not at then return nil end
    slashes, quote, before, sep, gap = "", "", "", "", ""
  end
  local json = quote == '"' and sep == ":"
  local first = text:sub(at, at)
  if sep == ":" and (first == ":" or text:sub(at, at + 1) == "//") then return nil end

  local back, mark = text:match("^(\\*)([\"'])", at)
  if mark then
    local closes = quote == "" and back == "" and (at == #text or text:find("^.[%s,;:%]})>&\\]", at))
    if closes and in_quotes(text, from) then return nil end  -- {"msg":"no password:"}
    local start = at + #back + 1
    local stop = closing(text, start, #back, mark) or #text + 1
    if kind == "scheme" then
      local word, after = text:match("^([%w%-]+)[ \t]+()", start)
      if word and schemes[word:lower()] and after < stop then start = after end
    end
    if stays(text, name, kind, sep, gap, text:sub(start, stop - 1)) then return nil end
    return start, stop - 1, escaped
  end
  local in_place = json and slashes .. '"' .. escaped .. slashes .. '"' or replacement
  if first == "{" or first == "[" then
    local stop = container_end(text, at, #slashes)
    if stop and stop > at + 1 then return at, stop, in_place end
    if stop then return nil end
  end
  if json then
    local scalar = text:match("^[%w.+%-]+", at)
    if scalar then
      if harmless[scalar] or stays(text, name, kind, sep, gap, scalar) then return nil end
      return at, at + #scalar - 1, in_place
    end
  end

  if kind == "sentence" then
    local stop = sentence_end(text, at)
    if stays(text, name, kind, sep, gap, text:sub(at, stop)) then return nil end
    return at, stop, replacement
  end
  if kind == "scheme" then
    local word, after = text:match("^([%w%-]+)[ \t]+()", at)
    local reach = word and schemes[word:lower()]
    if reach then at = after elseif schemes[text:match("^[%w%-]*", at):lower()] then return nil end
    if reach == 2 then
      local stop = text:find("[\r\n]", at) or #text + 1
      local close = in_quotes(text, from) and closing(text, at, 0, '"')
      if close and close < stop then stop = close end
      return at, stop - 1, replacement
    end
  end
  local last = at
  while kind == "cookies" do  -- "a=b; c=d"
    local following = text:match("^[^%s\"']*;[ \t]+()%S", last)
    if not following then break end
    last = following
  end
  local word = text:match("^%S+", last)
  if not word then return nil end
  word = trim(text, word, from, kind ~= "cookies")
  -- "password= user=x": nothing stands behind the sign.
  if before == "" and sep == "=" and gap ~= "" and word:find("^" .. name_part .. "+=[^=]") then return nil end
  if last == at and (harmless[word:lower()] or stays(text, name, kind, sep, gap, word)) then return nil end
  return at, last + #word - 1, replacement
end

local function add(edits, from, to, text)
  if from and to >= from then edits[#edits + 1] = { from = from, to = to, text = text } end
end

local function find_names(text, low, edits)
  for i = 1, #all_stems do
    local stem = all_stems[i]
    local at = low:find(stem, 1, true)
    while at do
      local front = text:sub(math.max(1, at - 64), at - 1):reverse():match("^" .. name_part .. "*")
      local _, to = text:find("^" .. name_part .. "*", at)
      add(edits, value_of(text, at - #front, to))
      at = low:find(stem, to + 1, true)
    end
  end
end

-- "Bearer x" and "Basic x" without a header's name. Words of a sentence behind them stay.
local function find_scheme(text, low, scheme, accepts, edits)
  local at = low:find(scheme, 1, true)
  while at do
    local from, word, signs, to = text:match("^[ \t]+()([%w%-._~+/]+)(=*)()", at + #scheme)
    if from and not text:find("^%w", to) and (at == 1 or not text:find("^%w", at - 1)) and accepts(word, signs) then
      add(edits, from, to - 1, replacement)
    end
    at = low:find(scheme, at + #scheme, true)
  end
end
local function bearer_word(word) return not no_credential[word:lower():gsub("%p+$", "")] end
local function basic_word(word, signs)
  return #word + #signs >= 8 and (#word + #signs) % 4 == 0 and not word:find("[%-._~]")
    and (signs ~= "" or word:find("%d") ~= nil or word:find("%l%u") ~= nil)
end

local function find_urls(text, edits)
  local at = text:find("://", 1, true)
  if not at or not text:find("@", at, true) then return end
  while at do
    local from, to = text:match("^[^%s/?#:@\"'<>]*:()[^%s/?#\"'<>]*()@", at + 3)
    if not from then  -- a password that was not encoded as it should be; not a port
      from, to = text:match("^[^%s/?#:@\"'<>]*:()[^%s\"'<>]*()@", at + 3)
      if from and text:find("^%d+[/?#]", from) then from = nil end
    end
    if from then add(edits, from, to - 1, replacement) end
    at = text:find("://", at + 3, true)
  end
end

local function find_keys(text, edits)
  local at = text:find("eyJ", 1, true)
  while at do
    local _, to = text:find("^[%w_%-]+%.[%w_%-]+%.?[%w_%-]*", at)
    if to and to - at >= 20 and (at == 1 or not text:find("^[%w_%-]", at - 1)) then add(edits, at, to, replacement) end
    at = text:find("eyJ", (to or at) + 1, true)
  end
  for i = 1, #makers do
    local maker = makers[i]
    at = text:find(maker[1], 1, true)
    while at do
      local from, behind = at, at + #maker[1]
      if maker[1] == "k_live_" then from = at - 1 end  -- sk_live_, rk_live_
      local _, to = text:find(maker[2], behind)
      if to and to - behind + 1 >= maker[3] and (from <= 1 or not text:find("^%w", from - 1)) then
        add(edits, math.max(1, from), to, replacement)
      end
      at = text:find(maker[1], behind, true)
    end
  end
end

-- Private keys. true: one begins here and does not end.
local function find_pem(text, edits)
  local open = false
  local at = text:find("-----BEGIN ", 1, true)
  while at do
    local body = text:match("^[%u%d ]*PRIVATE KEY[%u ]*%-%-%-%-%-()", at + 11)
    if body then
      local stop = text:find("-----END ", body, true)
      open = not stop
      add(edits, body, (stop or text:find('"', body, true) or #text + 1) - 1, replacement)
    end
    at = text:find("-----BEGIN ", at + 11, true)
  end
  return open
end

local function by_place(a, b) return a.from < b.from end

-- The text without its secrets, and whether a private key goes on in the next line.
local function hide(text)
  -- Behind a name or a scheme stands one of these; a key without them has more letters.
  local divided = text:find("[=:<%s]")
  if not divided and #text < 13 then return text, false end
  local edits, source = {}, text
  if text:find("\\u00", 1, true) and text:find("^%s*[{%[]") then  -- {"\u0070assword": ...}
    source = text:gsub("(\\+)u00(%x%x)", function(signs, code)
      local char = string.char(tonumber(code, 16))
      if #signs % 2 == 1 and char:find("^[%w_]") then return signs:sub(2) .. char end
    end)
  end
  if divided then
    local low = source:lower()
    find_names(source, low, edits)
    find_scheme(source, low, "bearer", bearer_word, edits)
    find_scheme(source, low, "basic", basic_word, edits)
    find_urls(source, edits)
  end
  find_keys(source, edits)
  local open = find_pem(source, edits)
  if #edits == 0 then return text, open end
  table.sort(edits, by_place)
  local parts, done = {}, 0
  for i = 1, #edits do
    local edit = edits[i]
    if edit.from > done then
      parts[#parts + 1] = source:sub(done + 1, edit.from - 1)
      parts[#parts + 1] = edit.text
      done = edit.to
    elseif edit.to > done then
      done = edit.to  -- secrets that overlap are one
    end
  end
  parts[#parts + 1] = source:sub(done + 1)
  return table.concat(parts), open
end

local function hides(node, key, value)
  local kind = kind_of(key)
  local what = type(value)
  if not kind or what == "boolean" or value == "" or value == replacement or value == null then return false end
  if what == "number" then return kind ~= "several" and not (kind == "count" and (node.fail or node.failed)) end
  return not (what == "string" and (key == "PWD" or key == "OLDPWD") and value:sub(1, 1) == "/")
end

local function clean(node, done)
  for key, value in pairs(node) do
    local what = type(value)
    if type(key) == "string" and hides(node, key, value) then
      node[key] = replacement
    elseif what == "string" and key ~= done then
      local cleaned = hide(value)
      if cleaned ~= value then node[key] = cleaned end
    elseif what == "table" then
      clean(value)
    end
  end
end

-- A private key line by line: what looks like base64 is hidden until the key ends.
local function within_key(line, ctx)
  ctx.key_lines = ctx.key_lines > 1 and ctx.key_lines - 1 or nil
  if line:find("-----END ", 1, true) then
    ctx.key_lines = nil
  elseif line:find("^%s*[%w+/]+=*%s*$") then
    return replacement
  else
    local at = line:find("%f[%w+/][%w+/]+=*%s*$")  -- "Jan  1 12:00:00 host app: MIIE..."
    if at and #line - at >= 40 then return line:sub(1, at - 1) .. replacement end
  end
  return line
end

function rule.transform(ev, ctx)
  if prepared_for ~= ctx.params then prepare(ctx.params) end
  local data = ev.data
  local whole = type(data) == "string"
  local line = whole and data or type(data) == "table" and data.line
  if type(line) == "string" then
    local cleaned = ctx.key_lines and within_key(line, ctx) or line
    local open
    cleaned, open = hide(cleaned)
    if open then ctx.key_lines = kPemLines end
    if cleaned ~= line then
      if whole then ev.data = cleaned else data.line = cleaned end
    end
  end
  if type(data) == "table" then clean(data, type(line) == "string" and "line" or nil) end
  return ev
end

function rule.check(params)
  local mistakes = {}
  for _, list in ipairs{ "also", "except" } do
    for i, name in ipairs(params[list]) do
      if joined(name) == "" then
        mistakes[#mistakes + 1] = "params." .. list .. "[" .. i .. "] is '" .. name .. "'; a name has letters or digits"
      end
    end
  end
  return mistakes
end

rule.tests = {
  { transform = { event = "line", data = { line = "PASSWORD=hunter2 user=bob" } },
    expect = { data = { line = "PASSWORD=[hidden] user=bob" } } },
}
return rule
