-- Alerts that are all different.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
math.randomseed(os.time())
request = function()
  return wrk.format(nil, nil, nil, '[{"labels":{"alertname":"Incident","id":"' .. math.random(1, 2000000000) .. '"},"annotations":{"summary":"Mobile banking sign-in fails"}}]')
end
