local format = require "moonpipe.schema.format"
local pattern = require "moonpipe.schema.pattern"

-- { expression, what matches, what does not }
local CASES = {
  { "^a*$", { "", "aaa" }, { "aab" } },
  { "", { "", "x" }, {} },
  { "a+", { "xaay" }, { "b" } },
  { "^\\d{4}-\\d{2}-\\d{2}$", { "2020-01-02" }, { "2020-1-02", "x2020-01-02" } },
  { "^[A-Z]{2,3}$", { "AB", "ABC" }, { "A", "ABCD", "Ab" } },
  { "^[a-z]{1,50}$", { ("a"):rep(50) }, { ("a"):rep(51), ("a"):rep(50) .. "1", "" } },
  { "[A-Z]{2,3}", { "xABCDE" }, { "xAx" } },
  { "^(foo|bar)$", { "foo", "bar" }, { "foobar", "baz" } },
  { "^foo|bar$", { "foox", "xbar" }, { "xfoo" } },
  { "a|b|", { "zzz" }, {} },
  { "^\\+?[1-9]\\d{1,14}$", { "+4912", "12" }, { "+0912", "1", ("1"):rep(16) } },
  { "^[^@]+@[^@]+\\.[^@]+$", { "a@b.c" }, { "a@b", "a@@b.c" } },
  { "^v\\d+(\\.\\d+)?$", { "v1", "v1.2" }, { "v1.", "v1.2.3" } },
  { "^(ab){2}$", { "abab" }, { "ab", "ababab" } },
  { "^#[0-9a-fA-F]{6}$", { "#ff00AA" }, { "#ff00A", "ff00AA" } },
  { "^[\\w.-]+$", { "a.b-c_d" }, { "a b", "" } },
  { "^\\$%a[\\]%]$", { "$%a]", "$%a%" }, { "$%ab" } },
  { "^\\x41\\u0042\\t$", { "AB\t" }, { "AB" } },
  { "^[^]$", { "a", "é" }, { "", "ab" } },
  { "^.$", { "é", "a", "\240\159\152\128" }, { "ab", "\n", "\226\128\168", "" } },
  { "^[^a]{2}$", { "éü", "b\n" }, { "é", "éa" } },
  { "^é+[äö]$", { "ééä", "éö" }, { "éé", "üä" } },
  { "^\\s\\S$", { "\194\160é", " a" }, { "éa", "  " } },
  { "^a.*?b$", { "ab", "axxb" }, { "a" } },
  { "^[-a]+$", { "-a-" }, { "b" } },
  { "^\\0$", { "\0" }, { "0" } },
  { "^\\/a\\.b$", { "/a.b" }, { "/axb" } },
}

local REFUSED = {
  ["\\bfoo"] = "\\b is not supported", ["(?=a)"] = "groups that begin with (? are not supported",
  ["^(ab)+$"] = "a group in it is repeated", ["(a"] = "a group has no end",
  ["a)"] = "a group has no beginning", ["a**"] = "a count follows a count",
  ["*a"] = "'*' has nothing to count", ["\\p{L}"] = "\\p is not supported",
  ["(a)\\1"] = "\\1 is not supported", ["[a"] = "it ends too early",
  ["^a{2,5}[ab]$"] = "a count in it overlaps with what stands beside it",
  ["a{2,5}b"] = "a count in it overlaps with what stands beside it",
  ["a^b"] = "^ stands in the middle", ["a$b"] = "$ stands in the middle",
  ["a{1000}"] = "a count in it is too large", ["[]"] = "a class in it is empty",
  ["[à-é]"] = "a range in it is not of ASCII characters",
  ["\194\160"] = "it names a space beyond ASCII", ["a{2}{3}"] = "'{' has nothing to count",
  [("a?"):rep(17) .. "b"] = "it leaves too much open",
  ["(a|b|c)(a|b|c)(a|b|c)(a|b|c)"] = "it has too many alternatives",
}

describe("a pattern of a schema", function()
  for _, case in ipairs(CASES) do
    it("is matched exactly: " .. case[1], function()
      local matches = assert(pattern.matcher(case[1]))
      for _, text in ipairs(case[2]) do assert.equal(true, matches(text), text) end
      for _, text in ipairs(case[3]) do assert.equal(false, matches(text), text) end
    end)
  end

  for text, why in pairs(REFUSED) do
    it("is refused where Lua cannot say it: " .. text, function()
      local matches, said = pattern.matcher(text)
      assert.equal(nil, matches)
      assert.equal(why, said)
    end)
  end

  it("is kept, but not for ever", function()
    for i = 1, 500 do assert.truthy(pattern.matcher("a" .. i)("xa" .. i)) end
  end)
end)

local FORMATS = {
  date = { { "2024-02-29", "2000-12-31" }, { "2023-02-29", "1900-02-29", "2024-13-01", "24-1-1" } },
  time = { { "12:00:00Z", "12:00:00.5+01:00", "23:59:60Z", "22:59:60-01:00" },
    { "12:00:00", "24:00:00Z", "12:00Z", "12:00:00.Z", "22:59:60Z", "12:00:00+25:00" } },
  ["date-time"] = { { "2024-02-29T12:00:00Z" }, { "2024-02-29 12:00:00Z", "2024-02-30T12:00:00Z" } },
  uuid = { { "2EB8AA08-AA98-11EA-B4AA-73B441D16380" },
    { "2eb8aa08-aa98-11ea-b4aa73b441d16380", "2eb8aa08aa9811eab4aa73b441d16380", "x" } },
  ipv4 = { { "127.0.0.1", "0.0.0.0" }, { "256.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4.5" } },
  ipv6 = { { "::", "::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::8" },
    { "1:2:3", "1::2::3", "12345::", ":::", "1:2:3:4:5:6:7:8:9", "::1.2.3.400" } },
  hostname = { { "a.b-c.d", "localhost" }, { "-a", "a_b", "a..b", "", ("a"):rep(64) } },
  email = { { "a.b+c@d.org", "a@[127.0.0.1]" }, { "a", ".a@b", "a..b@c", "a b@c", "a@b@c" } },
  uri = { { "http://a/b?c#d", "mailto:a@b", "http://a/%20" }, { "/a", "a b:c", "http://a/%2" } },
}

describe("a format of a schema", function()
  for name, texts in pairs(FORMATS) do
    it("is checked: " .. name, function()
      for _, text in ipairs(texts[1]) do assert.equal(true, format.CHECKS[name](text), text) end
      for _, text in ipairs(texts[2]) do assert.equal(false, format.CHECKS[name](text), text) end
    end)
  end
end)
