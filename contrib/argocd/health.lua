-- Argo CD's view of an object of managedvm.dev, by the rules of kstatus: what the status says counts only when it was
-- said about the spec that is there now. Kinds without conditions are data: they are healthy by being there.

local WAITING = "Waiting for the operator to look at this version of the spec"

local function verdict(status, message)
  return { status = status, message = message }
end

local function conditions_by_type(status)
  local found = {}
  for _, condition in ipairs(status.conditions or {}) do
    found[condition.type] = condition
  end
  return found
end

local function is(condition, value)
  return condition ~= nil and condition.status == value
end

local function words(condition)
  if condition.reason ~= nil and condition.reason ~= "" then
    return condition.reason .. ": " .. (condition.message or "")
  end
  return condition.message or ""
end

local function health(object)
  if object.metadata.deletionTimestamp ~= nil then
    return verdict("Progressing", "Being deleted; the VM itself stays")
  end
  if object.spec ~= nil and object.spec.suspend == true then
    return verdict("Suspended", "spec.suspend is set: the operator decides nothing for this VM")
  end
  local status = object.status
  if status == nil or status.observedGeneration == nil then
    return verdict("Healthy", "")
  end
  -- -1 is what the API server puts in until the operator has looked for the first time.
  if status.observedGeneration < (object.metadata.generation or 0) then
    return verdict("Progressing", WAITING)
  end
  local condition = conditions_by_type(status)
  if is(condition.Stalled, "True") then
    return verdict("Degraded", words(condition.Stalled))
  end
  if is(condition.Reconciling, "True") then
    return verdict("Progressing", words(condition.Reconciling))
  end
  -- Requests and runs end by Succeeded, everything else is Ready or not.
  local last = condition.Ready or condition.Succeeded
  if is(last, "True") then
    return verdict("Healthy", words(last))
  end
  if is(last, "False") then
    return verdict("Degraded", words(last))
  end
  return verdict("Progressing", last ~= nil and words(last) or WAITING)
end

return health(obj)
