-- A window in Redis, as lease.lua and give_back.lua use it: `Window` of window/mod.rs.
--
-- It is a hash of bucket number to units. Beside them it keeps their sum and the numbers of the
-- oldest and the newest bucket, so that a call reads what it needs and not all the 243.
--
-- ARGV of both: window_ms, bucket_ms, lease_ms, ttl_ms, units_max, then what each script says.

local window_ms, bucket_ms, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl_ms, units_max = ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
-- The oldest bucket that ends later than a window ago.
local first = math.floor((now_ms - window_ms) / bucket_ms)
-- The bucket of what is granted now, the newest there may be.
local stamp = math.floor((now_ms + lease_ms) / bucket_ms)
-- Buckets that are read at once: at first few, for often the first one tells; then ever more.
local few, more = 8, 4

-- A whole number as Redis writes it, never in the form 1e+15.
local function whole(number)
  return string.format('%.0f', number)
end

-- Calls `visit(units, name, bucket)` for the buckets from one to another, in their order, until it
-- returns true.
local function each(key, from, to, visit)
  local start, size = from, few
  while start <= to do
    local names = {}
    for bucket = start, math.min(start + size - 1, to) do
      names[#names + 1] = whole(bucket)
    end
    for i, units in ipairs(redis.call('HMGET', key, unpack(names))) do
      if units and visit(tonumber(units), names[i], start + i - 1) then
        return
      end
    end
    start, size = start + size, math.min(size * more, 256)
  end
end

-- Writes what stands beside the buckets, and more fields in the same go.
local function save(key, window, ...)
  redis.call('HSET', key, 'sum', whole(window.sum), 'oldest', whole(window.oldest),
    'newest', whole(window.newest), ...)
end

local function add(key, window, bucket, units)
  local name = whole(bucket)
  local held = tonumber(redis.call('HGET', key, name) or 0)
  window.sum = math.min(window.sum + units, units_max)
  window.oldest = math.min(window.oldest, bucket)
  window.newest = math.max(window.newest, bucket)
  save(key, window, name, whole(math.min(held + units, units_max)))
  redis.call('PEXPIRE', key, ttl_ms)
end

-- Reads all of a window, where its sum doesn't tell or where it reaches into the future: after the
-- clock went back, what was granted before counts as granted now.
local function rebuild(key)
  local window, early = { sum = 0, oldest = stamp, newest = stamp }, 0
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local bucket, units = tonumber(fields[i]), tonumber(fields[i + 1])
    if bucket and bucket >= first and bucket <= stamp then
      window.sum = math.min(window.sum + units, units_max)
      window.oldest = math.min(window.oldest, bucket)
    elseif bucket then
      redis.call('HDEL', key, fields[i])
      if bucket > stamp then
        early = math.min(early + units, units_max)
      end
    end
  end
  if early > 0 then
    add(key, window, stamp, early)
  end
  save(key, window)
  return window
end

-- Drops what has left a window.
local function forget(key, window)
  local gone = {}
  each(key, window.oldest, math.min(first - 1, window.newest), function(units, name)
    gone[#gone + 1] = name
    window.sum = window.sum - units
  end)
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
  end
  window.oldest, window.newest = first, math.max(first, window.newest)
  save(key, window)
end

-- A window as it stands now.
local function open(key)
  local kept = redis.call('HMGET', key, 'sum', 'oldest', 'newest')
  if not kept[1] then
    return { sum = 0, oldest = stamp, newest = stamp }
  end
  local window =
    { sum = tonumber(kept[1]), oldest = tonumber(kept[2]), newest = tonumber(kept[3]) }
  -- A sum that stopped at the greatest number is none.
  if window.newest > stamp or window.sum >= units_max then
    return rebuild(key)
  end
  if window.oldest < first then
    forget(key, window)
  end
  return window
end
