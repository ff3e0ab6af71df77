-- Takes unused units out of the buckets they were granted from, or counts more now:
-- `Window::give_back` of window.rs, inside Redis.
--
-- KEYS: one window for each return.
-- ARGV: window_ms, bucket_ms, ttl_ms, units_max; then for each return: stamp, units (negative: a
-- charge).

local window_ms, bucket_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local ttl_ms, units_max = ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local first = math.floor((now_ms - window_ms) / bucket_ms)

local function whole(number)
  return string.format('%.0f', number)
end

for i, key in ipairs(KEYS) do
  local at = 2 * i + 3
  local stamp, units = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local bucket = whole(units < 0 and math.floor(now_ms / bucket_ms) or stamp)
  local held = tonumber(redis.call('HGET', key, bucket) or 0)
  if units < 0 then
    redis.call('HSET', key, bucket, whole(math.min(held - units, units_max)))
    redis.call('PEXPIRE', key, ttl_ms)
  elseif held > units and stamp >= first then
    redis.call('HSET', key, bucket, whole(held - units))
  else
    redis.call('HDEL', key, bucket)
  end
end
return redis.status_reply('OK')
