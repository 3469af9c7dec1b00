function love.conf(t)
  t.identity = "moonpipe-npc"
  t.window.title = "An NPC that talks while the game goes on"
  t.window.width, t.window.height = 640, 360
  t.modules.audio, t.modules.physics, t.modules.joystick = false, false, false
end
