-- Changes the severity of one open incident after the other: a timeline event that five receivers are told of.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n, many, first = 0, 2000, 2000
request = function()
  local at = first + 1 + n % many
  local severity = math.floor(n / many) % 2 == 0 and "I" or "II"
  wrk.headers["If-Match"] = string.format('"%d-0"', 1 + math.floor(n / many))
  n = n + 1
  return wrk.format(nil, string.format("/api/v1/incidents/INC-2025-%05d/severity", at), nil,
    '{"severity":"' .. severity .. '","reason":"The error rate of payments rose again after the change of 10:40"}')
end
