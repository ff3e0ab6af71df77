-- What a replica holds of a scope's slots from now on: `Slots::hold` of slots.rs, inside Redis.
--
-- KEYS: the scope's slots.
-- ARGV: replica, limit, want, hold_ms.
-- Answer: granted, left.

local key, replica = KEYS[1], ARGV[1]
local limit, want, hold_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function held_until(count, expires_ms)
  return string.format('%.0f:%.0f', count, expires_ms)
end

local others = 0
local holders = redis.call('HGETALL', key)
for i = 1, #holders, 2 do
  if holders[i] ~= replica then
    local count, expires = string.match(holders[i + 1], '^(%d+):(%d+)$')
    local expires_ms = tonumber(expires)
    if expires_ms <= now_ms then
      redis.call('HDEL', key, holders[i])
    else
      others = others + count
      if expires_ms > now_ms + hold_ms then
        -- The clock went back: nobody holds for longer from now than who asks now.
        redis.call('HSET', key, holders[i], held_until(count, now_ms + hold_ms))
      end
    end
  end
end

local free = math.max(limit - others, 0)
local granted = math.min(want, free)
if granted > 0 then
  redis.call('HSET', key, replica, held_until(granted, now_ms + hold_ms))
  redis.call('PEXPIRE', key, hold_ms)
else
  redis.call('HDEL', key, replica)
end
return { granted, free - granted }
