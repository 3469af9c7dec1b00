--- `moonpipe completion`: what a shell needs to complete our command lines, out of the tables that
--- read them.
local options = require "moonpipe.tool.options"

local SHELLS = { "bash", "fish", "zsh" }

local completion = {
  name = "completion",
  usage = "SHELL",
  summary = "Prints what bash, fish or zsh needs to complete words of moonpipe's.",
  about = "bash: eval \"$(moonpipe completion bash)\" in ~/.bashrc\n"
    .. "zsh:  moonpipe completion zsh > ~/.zfunc/_moonpipe, with ~/.zfunc in fpath\n"
    .. "fish: moonpipe completion fish > ~/.config/fish/completions/moonpipe.fish",
  example = "moonpipe completion bash",
  options = {},
}

-- Words that take a file, and have no table.
local PLAIN = { run = "run the script in FILE", repl = "run line by line what is typed" }

local function tables()
  local list = {}
  for i, name in ipairs(require "moonpipe.tool.commands") do
    list[i] = require("moonpipe.tool." .. name)
  end
  return list
end

local function words_of(command)
  local words = {}
  for _, option in ipairs(options.all(command)) do
    words[#words + 1] = "--" .. option.name
    if option.short then words[#words + 1] = "-" .. option.short end
  end
  return words
end

local function names(list)
  local out = {}
  for name in pairs(PLAIN) do out[#out + 1] = name end
  for _, command in ipairs(list) do out[#out + 1] = command.name end
  table.sort(out)
  return table.concat(out, " ")
end

local function one_line(text)
  return (text:gsub("\n", " "):gsub("'", ""))
end

-- ---- shells ------------------------------------------------------------------------------

local WRITE = {}

local BASH_VALUES = "      --%s%s) COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;"
local BASH_CASE = "    %s)\n      words='%s'\n      case $before in\n%s\n      esac ;;"

function WRITE.bash(list)
  local cases = {}
  for _, command in ipairs(list) do
    local values = {}
    for _, option in ipairs(command.options) do
      if option.among then
        values[#values + 1] = BASH_VALUES:format(option.name,
          option.short and "|-" .. option.short or "", table.concat(option.among, " "))
      end
    end
    cases[#cases + 1] = BASH_CASE:format(command.name, table.concat(words_of(command), " "),
      table.concat(values, "\n"))
  end
  return ([[
_moonpipe() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '%s' -- "$word") $(compgen -f -- "$word"))
    return
  fi
  case ${COMP_WORDS[1]} in
%s
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _moonpipe moonpipe
]]):format(names(list), table.concat(cases, "\n"))
end

function WRITE.fish(list)
  local out = { "complete -c moonpipe -n __fish_use_subcommand -a repl -d '" .. PLAIN.repl .. "'",
    "complete -c moonpipe -n __fish_use_subcommand -a run -d '" .. PLAIN.run .. "'" }
  for _, command in ipairs(list) do
    out[#out + 1] = ("complete -c moonpipe -n __fish_use_subcommand -a %s -d '%s'"):format(
      command.name, one_line(command.summary))
    for _, option in ipairs(options.all(command)) do
      out[#out + 1] = ("complete -c moonpipe -n '__fish_seen_subcommand_from %s' -l %s%s%s -d '%s'")
        :format(command.name, option.name, option.short and " -s " .. option.short or "",
          option.among and (" -x -a '%s'"):format(table.concat(option.among, " "))
            or option.value and " -r" or "", one_line(option.help))
    end
  end
  return table.concat(out, "\n") .. "\n"
end

local function zsh_option(option)
  local help = one_line(option.help):gsub("[%[%]:]", "\\%0")
  local value = option.among and (":%s:(%s)"):format(option.value, table.concat(option.among, " "))
    or option.value and (":%s:_files"):format(option.value) or ""
  local out = { ("'--%s[%s]%s'"):format(option.name, help, value) }
  if option.short then out[2] = ("'-%s[%s]%s'"):format(option.short, help, value) end
  return table.concat(out, " ")
end

function WRITE.zsh(list)
  local cases = {}
  for _, command in ipairs(list) do
    local lines = {}
    for _, option in ipairs(options.all(command)) do lines[#lines + 1] = zsh_option(option) end
    cases[#cases + 1] = ("    %s) _arguments -s %s '*:file:_files' ;;"):format(command.name,
      table.concat(lines, " "))
  end
  return ([[
#compdef moonpipe
_moonpipe() {
  if (( CURRENT == 2 )); then
    compadd %s
    _files
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
%s
    *) _files ;;
  esac
}
_moonpipe "$@"
]]):format(names(list), table.concat(cases, "\n"))
end

function completion.run(_, words)
  local write = WRITE[words[1]]
  if #words ~= 1 or not write then
    return "completion takes one of " .. table.concat(SHELLS, ", ")
  end
  io.write(write(tables()))
end

return completion
