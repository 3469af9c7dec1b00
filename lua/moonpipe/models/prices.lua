--- What models cost: US dollars a million tokens, as the providers' pages said in
-- November 2026. Data, and no promise: give `prices` of your own where it matters.
--
-- A model has the price of the longest name that its own begins with; dated and
-- latest versions are so found. `cached` is what is read from a cache, `written` what
-- is written to one; without them both cost as input does.
---@alias moonpipe.Price { input: number, output: number, cached: number?, written: number? }

---@type table<string, moonpipe.Price>
return {
  ["gpt-4.1"] = { input = 2, cached = 0.5, output = 8 },
  ["gpt-4.1-mini"] = { input = 0.4, cached = 0.1, output = 1.6 },
  ["gpt-4.1-nano"] = { input = 0.1, cached = 0.025, output = 0.4 },
  ["gpt-4o"] = { input = 2.5, cached = 1.25, output = 10 },
  ["gpt-4o-mini"] = { input = 0.15, cached = 0.075, output = 0.6 },
  ["gpt-5"] = { input = 1.25, cached = 0.125, output = 10 },
  ["gpt-5-mini"] = { input = 0.25, cached = 0.025, output = 2 },
  ["gpt-5-nano"] = { input = 0.05, cached = 0.005, output = 0.4 },
  ["gpt-5.1"] = { input = 1.25, cached = 0.125, output = 10 },
  ["gpt-5.2"] = { input = 1.75, cached = 0.175, output = 14 },
  ["gpt-5.4-mini"] = { input = 0.75, cached = 0.075, output = 4.5 },
  ["gpt-5.4-nano"] = { input = 0.2, cached = 0.02, output = 1.25 },
  ["claude-fable-5.1"] = { input = 10, cached = 1, written = 12.5, output = 50 },
  ["claude-haiku-4-5"] = { input = 1, cached = 0.1, written = 1.25, output = 5 },
  ["claude-opus-5"] = { input = 5, cached = 0.5, written = 6.25, output = 25 },
  ["claude-sonnet-4"] = { input = 3, cached = 0.3, written = 3.75, output = 15 },
  ["claude-sonnet-5"] = { input = 2, cached = 0.2, written = 2.5, output = 10 },
  ["gemini-3.5-flash-lite"] = { input = 0.3, output = 2.5 },
  ["gemini-3.6-flash"] = { input = 1.5, output = 7.5 },
}
