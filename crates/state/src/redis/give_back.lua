-- Takes unused units out of the buckets they were granted from, or counts more now:
-- `Window::give_back` of window/mod.rs. Stands below window.lua.
--
-- KEYS: one window for each return.
-- ARGV, from the sixth on, for each return: stamp, units (negative: a charge).

local function take(key, window, bucket, units)
  local name = whole(bucket)
  local held = tonumber(redis.call('HGET', key, name) or 0)
  local taken = math.min(units, held)
  if taken == held then
    redis.call('HDEL', key, name)
  else
    redis.call('HSET', key, name, whole(held - taken))
  end
  -- A sum at the greatest number stays there: the next call reads the window anew.
  if taken > 0 and window.sum < units_max then
    window.sum = window.sum - taken
    save(key, window)
  end
end

for i, key in ipairs(KEYS) do
  local bucket, units = tonumber(ARGV[2 * i + 4]), tonumber(ARGV[2 * i + 5])
  local window = open(key)
  if units < 0 then
    add(key, window, math.floor(now_ms / bucket_ms), -units)
  else
    take(key, window, bucket, units)
  end
end
return redis.status_reply('OK')
