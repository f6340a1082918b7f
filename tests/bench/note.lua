-- A note on one incident's timeline, each with a key of its own.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n, base = 0, tostring(os.time()) .. tostring(math.random(1, 1000000000))
request = function()
  n = n + 1
  wrk.headers["Idempotency-Key"] = '"' .. base .. "-" .. n .. '"'
  return wrk.format(nil, nil, nil, '{"text":"Still watching the error rate"}')
end
