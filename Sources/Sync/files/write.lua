-- Puts a batch of changes into what directors share. Redis runs it as one, so that it alone orders what
-- two directors have changed at once.
--
-- KEYS[1]: the stream of changes. ARGV: the prefix of all keys, the id that Redis must have, the
-- director, when the oldest change was found, how many entries the stream keeps, and of each change its
-- hash (behind the prefix), field, value and the head of its record, see RecordCoding.swift.
-- Answers how many changes have changed what was there; -1 where Redis has another id: it was emptied,
-- and nothing is written.
local prefix, id, director, time, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('GET', prefix .. 'id') ~= id then return -1 end

local ASSOCIATION, FORGOTTEN, EVICTED, OVERRIDE = 1, 2, 3, 4
local NEWCOMER, ANSWERED, UNHEARD = '\0', '\1', '\4'

-- Byte by byte: Lua's own "<" follows the locale of the server.
local function compare(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y and -1 or 1 end
  end
  return #a < #b and -1 or (#a > #b and 1 or 0)
end

-- Of two changes at one time: what was forgotten stays so; else the greater real server decides, as at
-- the directors, then the class.
local function rank(value)
  local class = string.sub(value, 7, 7)
  if class == UNHEARD then class = NEWCOMER end
  return (class == '\3' and '\1' or '\0') .. string.sub(value, 8) .. class
end

local function is_later(kind, new, old)
  local order = compare(string.sub(new, 1, 6), string.sub(old, 1, 6))
  if order ~= 0 then return order > 0 end
  if kind == OVERRIDE then return compare(new, old) > 0 end
  return compare(rank(new), rank(old)) > 0
end

-- How much a director knows of a client: that a real server has written to it, that it was answered, that
-- it goes on. One without classes does not ask; its clients are known as long as any.
local function knowledge(value)
  local class = string.sub(value, 7, 7)
  return class == UNHEARD and 0 or (class == ANSWERED and 1 or 2)
end

-- What is there with both. Who knows more of a client than who has seen it last is heard as well: its
-- packets take several directors, and each tells what it sees.
local function merged(kind, new, old)
  local later = is_later(kind, new, old) and new or old
  local more = knowledge(new) - knowledge(old)
  if kind ~= ASSOCIATION or string.sub(new, 8) ~= string.sub(old, 8) or more == 0 then return later end
  return string.sub(later, 1, 6) .. string.sub(more > 0 and new or old, 7)
end

local records = {}
for i = 6, #ARGV, 4 do
  local key, field, value, head = prefix .. ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local kind = string.byte(head)
  local old = redis.call('HGET', key, field)
  if kind == EVICTED then
    -- The others keep theirs: it is no change for them.
    if old and string.byte(old, 7) ~= 3 and compare(string.sub(old, 1, 6), value) <= 0 then
      redis.call('HDEL', key, field)
    end
  -- What others have learned of it is the same to the octet.
  elseif old ~= value then
    if old then value = merged(kind, value, old) end
    if value ~= old then
      redis.call('HSET', key, field, value)
      records[#records + 1] = head .. field .. value
    end
  end
end
if #records > 0 then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', most, '*',
    'd', director, 't', time, 'b', table.concat(records))
end
return #records
