--- The table library of a locked-in VM: loops in Lua, so that the hook is heard in them.
local concat = table.concat

local SLICE = 1000 -- items that one call of C joins

local function check(t, name)
  if type(t) == "table" then return end
  error(("bad argument #1 to '%s' (table expected, got %s)"):format(name,
    t == nil and "no value" or type(t)), 3)
end

function table.concat(t, between, first, last)
  check(t, "concat")
  first, last = first or 1, last or #t
  if last - first < SLICE then return concat(t, between, first, last) end
  local pieces = {}
  for at = first, last, SLICE do
    pieces[#pieces + 1] = concat(t, between, at, math.min(at + SLICE - 1, last))
  end
  return table.concat(pieces, between)
end

function table.insert(t, ...)
  check(t, "insert")
  local count, at, value = select("#", ...), ...
  if count == 1 then
    t[#t + 1] = at
    return
  end
  if count ~= 2 then error("wrong number of arguments to 'insert'", 2) end
  for i = #t, at, -1 do t[i + 1] = t[i] end
  t[at] = value
end

function table.remove(t, at)
  check(t, "remove")
  local last = #t
  at = at or last
  if last == 0 and at == 0 or at < 1 or at > last then return nil end
  local value = t[at]
  for i = at, last - 1 do t[i] = t[i + 1] end
  t[last] = nil
  return value
end

local function less(a, b)
  return a < b
end

-- Two sorted runs of [from] as one in [to].
local function merge(from, to, first, middle, last, before)
  local left, right = first, middle
  for at = first, last - 1 do
    if left < middle and (right >= last or not before(from[right], from[left])) then
      to[at], left = from[left], left + 1
    else
      to[at], right = from[right], right + 1
    end
  end
end

---Sorts by merging; equal ones keep their order.
function table.sort(t, before)
  check(t, "sort")
  before = before or less
  local count, width = #t, 1
  local from, to = {}, {}
  for i = 1, count do from[i] = t[i] end
  while width < count do
    for first = 1, count, 2 * width do
      merge(from, to, first, math.min(first + width, count + 1),
        math.min(first + 2 * width, count + 1), before)
    end
    from, to, width = to, from, 2 * width
  end
  for i = 1, count do t[i] = from[i] end
end
