-- A game with people in it who talk: `love scripts/embed/love` with moonpipe.so
-- beside this file or where Lua looks for modules. Space asks again, escape leaves.
-- `love scripts/embed/love --once 200` has 200 guests asked at once; when each has its
-- answer it prints them, and what was taken of the frames, and leaves.
local mp = require "moonpipe"
local host = require "moonpipe.host.love"

local once, guests, angle = false, {}, 0

-- `|` is not LuaJIT's own syntax, and LÖVE reads this file: mp.pipe composes.
local npc = mp.pipe(
  mp.ChatPromptTemplate.from_messages {
    { "system", "You keep the inn of a small village. Answer in two sentences." },
    { "human", "{question}" },
  },
  mp.init_chat_model(),
  mp.StrOutputParser())

local function ask(guest, question)
  if guest.task then guest.task:cancel() end
  guest.said = ""
  guest.task = npc:start({ question = question }, {
    on_token = function(text) guest.said = guest.said .. mp.printable(text) end,
    on_error = function(err) guest.said = "(" .. err.message .. ")" end,
  })
end

function love.load(arguments)
  once = arguments[1] == "--once"
  host.install { budget = 0.002 }
  for i = 1, tonumber(arguments[2]) or 1 do
    guests[i] = {}
    ask(guests[i], "Innkeeper, what is the news in the village?")
  end
end

-- Whether nobody talks any more, and all got an answer.
local function look_around()
  local silent, answered = true, true
  for _, guest in ipairs(guests) do
    local status = guest.task:status()
    silent = silent and status ~= "running" and status ~= "pending"
    answered = answered and status == "done"
  end
  return silent, answered
end

local function report()
  for _, guest in ipairs(guests) do print(guest.said) end
  local frames = host.frames
  io.stderr:write(("%d frames, %d over their budget; longest update: %.2f ms of CPU, ")
    :format(frames.count, frames.late, frames.longest * 1e3),
    ("%.2f ms of the clock\n"):format(frames.longest_wall * 1e3))
end

function love.update(dt)
  angle = angle + dt
  if not once then return end
  local silent, answered = look_around()
  if not silent then return end
  report()
  love.event.quit(answered and 0 or 1)
end

function love.keypressed(key)
  if key == "escape" then love.event.quit() end
  if key == "space" then ask(guests[1], "And what else?") end
end

function love.draw()
  local graphics = love.graphics
  for i, guest in ipairs(guests) do
    local x, y = 80 + (i - 1) % 20 * 30, 90 + math.floor((i - 1) / 20) * 30
    graphics.circle("line", x + 10 * math.cos(angle + i), y + 10 * math.sin(angle + i), 24)
    if #guests == 1 then graphics.printf(guest.said, 140, 60, 460) end
  end
end
