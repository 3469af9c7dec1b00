-- The cases of the JSON Schema organisation, from npm: those of draft 4 whose words mean the
-- same in 2020-12. They are fetched by the long tier, or by hand:
--   npm pack json-schema-test-suite@0.0.10 --pack-destination build/schema-suite
local helper = require "spec.helper"
local json = require "moonpipe.json"
local mp = require "moonpipe"

local FOLDER, PACKAGE = "build/schema-suite", "json-schema-test-suite@0.0.10"
local ARCHIVE = FOLDER .. "/json-schema-test-suite-0.0.10.tgz"

-- What draft 4 says otherwise, or what is not there: by file or by a group's description.
local OTHER = {
  ["additionalItems"] = "is items in 2020-12", ["dependencies"] = "has two names in 2020-12",
  ["refRemote"] = "nothing is fetched", ["bignum"] = "integers beyond 2^53 are texts",
  ["exclusiveMaximum validation"] = "is a number in 2020-12",
  ["exclusiveMinimum validation"] = "is a number in 2020-12",
  ["an array of schemas for items"] = "is prefixItems in 2020-12",
  ["remote ref, containing refs itself"] = "nothing is fetched",
  ["valid definition"] = "nothing is fetched", ["invalid definition"] = "nothing is fetched",
  ["zeroTerminatedFloats"] = "1.0 is an integer since draft 6",
  ["validation of host names"] = "a name may begin with a digit (RFC 1123)",
  ["validation of URIs"] = "one of them is a relative reference",
  ["relative pointer ref to array"] = "is prefixItems in 2020-12",
}

local function fetch()
  local file = io.open(ARCHIVE)
  if file then return file:close() end
  if not helper.long then return false, "the long tier fetches it" end
  helper.execute { "mkdir", "-p", FOLDER }
  local _, err, code = helper.execute { "npm", "pack", PACKAGE, "--pack-destination", FOLDER }
  return code == 0, "npm: " .. err:sub(-200)
end

local function run(file, tally)
  local name = file:match("([%w]+)%.json$")
  local text = helper.execute { "tar", "-xzOf", ARCHIVE, file }
  for _, group in ipairs(OTHER[name] and {} or json.decode(text)) do
    for _, case in ipairs(OTHER[group.description] and {} or group.tests) do
      local ok = mp.schema.validate(case.data, group.schema, { json = true })
      tally.count = tally.count + 1
      if ok ~= case.valid then
        tally[#tally + 1] = ("%s: %s: %s"):format(name, group.description, case.description)
      end
    end
  end
end

describe("schema.validate", function()
  it("agrees with the cases of the JSON Schema organisation", function()
    local ok, why = fetch()
    if not ok then return pending("not fetched: " .. why) end
    local tally = { count = 0 }
    for file in helper.execute({ "tar", "-tzf", ARCHIVE }):gmatch("[^\n]+/draft4/[^\n]+%.json") do
      run(file, tally)
    end
    assert.same({ count = tally.count }, tally)
    assert.truthy(tally.count > 200, tally.count)
  end)
end)
