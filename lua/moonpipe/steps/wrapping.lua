--- What a step around one other step has from it: names, keys, arguments.
--
-- RunnableRetry, RunnableTimeout and the like are the step `bound`, done better:
-- in paths and graphs they bear its name.
local wrapping = {}

local NAMES = {
  "_begins_with_user_code", "_check_keys", "_output_keys", "_takes_kwargs", "get_name", "_label",
}

local own = {}

function own:_begins_with_user_code()
  return self.bound:_begins_with_user_code()
end

function own:_check_keys(keys)
  return self.bound:_check_keys(keys)
end

function own:_output_keys(keys)
  return self.bound:_output_keys(keys)
end

function own:_takes_kwargs()
  return self.bound:_takes_kwargs()
end

function own:get_name()
  return self.name or self.bound:get_name()
end

function own:_label()
  return self.name or self.bound:_label()
end

---The label of [step] with a method behind it.
---@param step moonpipe.Runnable
---@return string
function wrapping.operand(step)
  local label = step:_label()
  return label:find(" | ", 1, true) and "(" .. label .. ")" or label
end

---Gives [methods], of a class whose instances have `bound`, what it has from that.
---@param methods table
function wrapping.delegate(methods)
  for _, name in ipairs(NAMES) do methods[name] = own[name] end
end

return wrapping
