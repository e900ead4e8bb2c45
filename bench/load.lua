-- For wrk: posts five rows to /prediction if the argument is `five`, otherwise gets the page. Prints one line of JSON.
function init(arguments)
  if arguments[1] == "five" then
    wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
    local row = '{"corporation":"c","lastmonth_activity":12,"lastyear_activity":340,"number_of_employees":7}'
    wrk.body = '{"rows":[' .. row .. (',' .. row):rep(4) .. ']}'
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, ', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99)))
  io.write(string.format('"errors": {"status": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}}\n', errors.status,
    errors.connect, errors.read, errors.write, errors.timeout))
end
