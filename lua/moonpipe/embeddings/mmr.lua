--- Maximal marginal relevance: of vectors near to a query, those that are least like one another.
local mmr = {}

---@param a number[]
---@return number
function mmr.length(a)
  local sum = 0
  for i = 1, #a do
    sum = sum + a[i] * a[i]
  end
  return math.sqrt(sum)
end

--- The cosine of two vectors, of which the product of their [lengths] is known. A vector of length
--- 0 is like nothing.
---@param a number[]
---@param b number[]
---@param lengths number
---@return number
function mmr.cosine(a, b, lengths)
  local sum = 0
  for i = 1, #a do
    sum = sum + a[i] * b[i]
  end
  return lengths > 0 and sum / lengths or 0
end

local length, cosine = mmr.length, mmr.cosine

-- The [count] nearest, nearest first; equals in the order of their rows.
local function nearest(scores, count)
  local order = {}
  for i = 1, #scores do
    order[i] = i
  end
  table.sort(order, function(i, j)
    if scores[i] ~= scores[j] then
      return scores[i] > scores[j]
    end
    return i < j
  end)
  for i = #order, count + 1, -1 do
    order[i] = nil
  end
  return order
end

-- The place in [order] of the row that is worth most; what was taken is marked by likeness = nil.
local function best_of(order, scores, likeness, weight)
  local best, best_worth
  for _, i in ipairs(order) do
    local worth = likeness[i] and weight * scores[i] - (1 - weight) * likeness[i]
    if worth and (not best or worth > best_worth) then
      best, best_worth = i, worth
    end
  end
  return best
end

--- The numbers of the [k] rows to take, in the order in which they are taken.
---@param query number[]
---@param rows number[][]
---@param k integer
---@param fetch_k integer  only so many of the nearest rows are looked at
---@param weight number  1: by nearness alone, 0: by difference alone; LangChain's lambda_mult
---@return integer[]
function mmr.select(query, rows, k, fetch_k, weight)
  local scores, lengths, likeness, taken = {}, {}, {}, {}
  local query_length = length(query)
  for i, row in ipairs(rows) do
    lengths[i] = length(row)
    scores[i] = cosine(query, row, query_length * lengths[i])
  end
  local order = nearest(scores, fetch_k)
  for _, i in ipairs(order) do
    likeness[i] = 0
  end
  local chosen = order[1]
  while chosen and #taken < k do
    taken[#taken + 1], likeness[chosen] = chosen, nil
    for _, i in ipairs(order) do
      local like = likeness[i] and cosine(rows[i], rows[chosen], lengths[i] * lengths[chosen])
      likeness[i] = like and (#taken == 1 and like or math.max(likeness[i], like))
    end
    chosen = best_of(order, scores, likeness, weight)
  end
  return taken
end

return mmr
