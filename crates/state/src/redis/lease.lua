-- Grants units of one scope's windows: `Window::lease` of window.rs, inside Redis.
--
-- KEYS: one window for each ask.
-- ARGV: window_ms, bucket_ms, lease_ms, ttl_ms, units_max; then for each ask: limit, want, at_least.
-- Answer: for each ask: granted, stamp, left, free_after_ms (-1: none).

local window_ms, bucket_ms, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl_ms, units_max = ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
-- The oldest bucket that ends later than a window ago.
local first = math.floor((now_ms - window_ms) / bucket_ms)
local stamp = math.floor((now_ms + lease_ms) / bucket_ms)

-- A whole number as Redis writes it, never in the form 1e+15.
local function whole(number)
  return string.format('%.0f', number)
end

local function add(key, buckets, bucket, units)
  local held = math.min((buckets[bucket] or 0) + units, units_max)
  buckets[bucket] = held
  redis.call('HSET', key, whole(bucket), whole(held))
  redis.call('PEXPIRE', key, ttl_ms)
end

-- Reads a window and drops what has left it: units by bucket, and their sum.
local function read(key)
  local fields = redis.call('HGETALL', key)
  local buckets, gone, early = {}, {}, 0
  for i = 1, #fields, 2 do
    local bucket, units = tonumber(fields[i]), tonumber(fields[i + 1])
    if bucket < first then
      gone[#gone + 1] = fields[i]
    elseif bucket > stamp then
      -- The clock went back: what was granted before it counts as granted now.
      gone[#gone + 1] = fields[i]
      early = math.min(early + units, units_max)
    else
      buckets[bucket] = units
    end
  end
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
  end
  if early > 0 then
    add(key, buckets, stamp, early)
  end
  local sum = 0
  for _, units in pairs(buckets) do
    sum = math.min(sum + units, units_max)
  end
  return buckets, sum
end

local function grant(free, want, at_least)
  if free < at_least then
    return 0
  end
  return math.min(want, math.max(math.ceil(free / 2), at_least))
end

-- When as many are free as are needed, should nobody else ask: the oldest buckets leave first.
local function free_after(buckets, sum, limit, needed)
  if limit < needed then
    return -1
  end
  local must_leave = math.max(sum - (limit - needed), 1)
  local leaving = 0
  for bucket = first, stamp do
    leaving = leaving + (buckets[bucket] or 0)
    if leaving >= must_leave then
      return (bucket + 1) * bucket_ms + window_ms - now_ms
    end
  end
  return -1
end

local answer = {}
for i, key in ipairs(KEYS) do
  local at = 3 * i + 3
  local limit, want, at_least = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local buckets, sum = read(key)
  local free = math.max(limit - sum, 0)
  local granted = grant(free, want, at_least)
  if granted > 0 then
    add(key, buckets, stamp, granted)
  end
  answer[#answer + 1] = granted
  answer[#answer + 1] = stamp
  answer[#answer + 1] = free - granted
  answer[#answer + 1] =
    free_after(buckets, math.min(sum + granted, units_max), limit, math.max(at_least, 1))
end
return answer
