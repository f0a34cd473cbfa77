-- Applies records of one topic's partition together with the offset they reach: all of it or, refused, nothing.
--
-- KEYS  1 applied (hash topic -> next offset), 2 written (hash topic -> ms). All other keys that the commands touch
--       share their braces, hence their node; they are not listed because there are thousands.
-- ARGV  1 topic
--       2 from:   offset that `applied` had when these records were fetched; below it nothing is missing
--       3 to:     next offset after these records
--       4 records in offset order, MessagePack: {{offset, {{command, key, argument...}, ...}}, ...}
--       5 channel, 6 notice
-- Returns {applied now, records applied}. Less than `from` means that Redis has lost data: read again from there.
--
-- Every command is harmless when repeated, so a script that an error ends half-way is simply run again.

local applied = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local from, to = tonumber(ARGV[2]), tonumber(ARGV[3])
if applied < from or applied >= to then
  return {applied, 0}
end

-- A stream refuses ids that do not rise. It may be ahead of `applied` where that was removed by hand.
local newest = {}
local function is_in_stream(key, id)
  if newest[key] == nil then
    newest[key] = -1
    if redis.call('EXISTS', key) == 1 then
      local about = redis.call('XINFO', 'STREAM', key)
      for i = 1, #about, 2 do
        if about[i] == 'last-generated-id' then
          newest[key] = tonumber(string.match(about[i + 1], '^%d+'))
        end
      end
    end
  end
  return id <= newest[key]
end

local count = 0
for _, record in ipairs(cmsgpack.unpack(ARGV[4])) do
  local offset, commands = record[1], record[2]
  if offset >= applied then
    count = count + 1
    for _, command in ipairs(commands) do
      if command[1] ~= 'XADD' or not is_in_stream(command[2], offset + 1) then
        redis.call(unpack(command))
      end
    end
  end
end

local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], now[1] .. string.format('%03d', math.floor(tonumber(now[2]) / 1000)))
if count > 0 then
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
return {to, count}
