-- A game with somebody in it who talks: `love scripts/embed/love` with moonpipe.so
-- beside this file or where Lua looks for modules. Space asks again, escape leaves.
-- `love scripts/embed/love --once` leaves when the answer is there, and says how long
-- the longest frame took.
local mp = require "moonpipe"
local host = require "moonpipe.host.love"

local once, said, task, longest, angle = false, "", nil, 0, 0

-- `|` is not LuaJIT's own syntax, and LÖVE reads this file: mp.pipe composes.
local npc = mp.pipe(
  mp.ChatPromptTemplate.from_messages {
    { "system", "You keep the inn of a small village. Answer in two sentences." },
    { "human", "{question}" },
  },
  mp.init_chat_model(),
  mp.StrOutputParser())

local function ask(question)
  if task then task:cancel() end
  said = ""
  task = npc:start({ question = question }, {
    on_token = function(text) said = said .. mp.printable(text) end,
    on_error = function(err) said = "(" .. err.message .. ")" end,
  })
end

function love.load(arguments)
  once = arguments[1] == "--once"
  host.install { budget = 0.002 }
  ask "Innkeeper, what is the news in the village?"
end

function love.update(dt)
  angle = angle + dt
  if angle > dt then longest = math.max(longest, dt) end -- the first one has loaded the game
  if not once or task:status() == "running" or task:status() == "pending" then return end
  print(said)
  io.stderr:write(("longest frame %.1f ms\n"):format(longest * 1e3))
  love.event.quit(task:status() == "done" and 0 or 1)
end

function love.keypressed(key)
  if key == "escape" then love.event.quit() end
  if key == "space" then ask "And what else?" end
end

function love.draw()
  local graphics = love.graphics
  graphics.circle("line", 80 + 10 * math.cos(angle), 90 + 10 * math.sin(angle), 24)
  graphics.printf(said, 140, 60, 460)
end
