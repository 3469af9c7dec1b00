--- The options of commands that run a script which may be somebody else's.
return {
  { name = "sandbox", value = "GRANTS", inline = true, optional = true, files = { "lua" },
    help = "run a script of somebody else's, which may use what GRANTS gives; without GRANTS: "
      .. "nothing" },
  { name = "isolate", help = "the same, in a process that can only compute: for hostile code" },
}
