-- Grants units of one scope's windows: `Window::lease` of window/mod.rs. Stands below window.lua.
--
-- KEYS: one window for each ask.
-- ARGV, from the sixth on, for each ask: limit, want, at_least.
-- Answer: for each ask: granted, stamp, left, free_after_ms (-1: none).

local function grant(free, want, at_least)
  if free < at_least then
    return 0
  end
  return math.min(want, math.max(math.ceil(free / 2), at_least))
end

-- When as many are free as are needed, should nobody else ask: the oldest buckets leave first.
local function free_after(key, window, limit, needed)
  if limit < needed then
    return -1
  end
  local must_leave = window.sum - (limit - needed)
  local leaving, after_ms = 0, -1
  each(key, window.oldest, window.newest, function(units, _, bucket)
    leaving = leaving + units
    after_ms = (bucket + 1) * bucket_ms + window_ms - now_ms
    return leaving >= must_leave
  end)
  return after_ms
end

local answer = {}
for i, key in ipairs(KEYS) do
  local at = 3 * i + 3
  local limit, want, at_least = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local window = open(key)
  local free = math.max(limit - window.sum, 0)
  local granted = grant(free, want, at_least)
  if granted > 0 then
    add(key, window, stamp, granted)
  end
  answer[#answer + 1] = granted
  answer[#answer + 1] = stamp
  answer[#answer + 1] = free - granted
  answer[#answer + 1] = free_after(key, window, limit, math.max(at_least, 1))
end
return answer
