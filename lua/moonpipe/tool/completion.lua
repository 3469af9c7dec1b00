--- `moonpipe completion`: what a shell needs to complete our command lines, out of the tables that
--- read them.
local commands = require "moonpipe.tool.commands"
local options = require "moonpipe.tool.options"

local SHELLS = { "bash", "fish", "zsh" }

local completion = {
  name = "completion",
  usage = "SHELL",
  summary = "Prints what bash, fish or zsh needs to complete command lines of moonpipe.",
  about = "An installation has it already. Else:\n"
    .. "  bash: eval \"$(moonpipe completion bash)\" in ~/.bashrc\n"
    .. "  zsh:  moonpipe completion zsh > ~/.zfunc/_moonpipe, with ~/.zfunc in fpath\n"
    .. "  fish: moonpipe completion fish > ~/.config/fish/completions/moonpipe.fish",
  example = "moonpipe completion bash",
  exits = { 0, 2 },
  among = SHELLS,
  options = {},
}

-- The commands, and the program itself under the name "".
local function tables()
  local list = {}
  for i, name in ipairs(commands.names()) do list[i] = commands.find(name) end
  list[#list + 1] = require "moonpipe.tool.program"
  return list
end

-- How an option's names are typed, with = where a value stands behind one.
local function names_of(option)
  local list = { "--" .. option.name .. (option.inline and not option.optional and "=" or "") }
  if option.inline and option.optional then list[2] = list[1] .. "=" end
  if option.short then list[#list + 1] = "-" .. option.short end
  return list
end

local function words_of(command)
  local words = {}
  for _, option in ipairs(options.all(command)) do
    for _, name in ipairs(names_of(option)) do words[#words + 1] = name end
  end
  return table.concat(words, " ")
end

-- Help in a line, between single quotes of a shell.
local function one_line(text)
  return (text:gsub("%s+", " "):gsub("'", "’"))
end

-- ---- bash ----------------------------------------------------------------------------------

local WRITE = {}

-- What completes a value, or a word: a line of bash.
local function bash_action(one)
  if one.among then return ("_moonpipe_among '%s'"):format(table.concat(one.among, " ")) end
  return "_moonpipe_files " .. table.concat(one.files or {}, " ")
end

local BASH_CASE = [[
    '%s')
      case $before in
%s
      esac
      words='%s' action='%s' ;;]]

local function bash_case(command)
  local values = {}
  for _, option in ipairs(options.all(command)) do
    if option.value then
      local patterns = "--" .. option.name .. (option.short and "|-" .. option.short or "")
      local action = (option.among or option.files) and bash_action(option) or "true"
      values[#values + 1] = ("        %s) %s; return ;;"):format(patterns, action)
    end
  end
  local takes_none = command.files and #command.files == 0 and not command.among
  return BASH_CASE:format(command.name, table.concat(values, "\n"), words_of(command),
    takes_none and "true" or (bash_action(command):gsub("'", "'\\''")))
end

local BASH = [[
_moonpipe_among() {
  COMPREPLY=($(compgen -W "$1" -- "$word"))
}

_moonpipe_files() {
  local ending IFS=$'\n'
  compopt -o filenames 2>/dev/null
  if [ $# -eq 0 ]; then
    COMPREPLY=($(compgen -f -- "$word"))
    return
  fi
  COMPREPLY=($(compgen -d -- "$word"))
  for ending in "$@"; do
    COMPREPLY+=($(compgen -f -X "!*.$ending" -- "$word"))
  done
  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
}

_moonpipe() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local at command= words= action=
  COMPREPLY=()
  if [ "$word" = = ]; then word=; elif [ "$before" = = ]; then
    before=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    case ${COMP_WORDS[at]} in
      =) at=$((at + 1)) ;;
      -*) ;;
      *) command=${COMP_WORDS[at]}; break ;;
    esac
  done
  case $command in
%s
  esac
  case $word in
    -*)
      _moonpipe_among "$words"
      [ "${COMPREPLY[0]: -1}" != = ] || compopt -o nospace 2>/dev/null ;;
    *)
      eval "$action"
      [ -n "$command" ] || COMPREPLY+=($(compgen -W '%s' -- "$word")) ;;
  esac
}

complete -F _moonpipe moonpipe
]]

function WRITE.bash(list)
  local cases = {}
  for i, command in ipairs(list) do cases[i] = bash_case(command) end
  return BASH:format(table.concat(cases, "\n"), table.concat(commands.names(), " "))
end

-- ---- fish ----------------------------------------------------------------------------------

local FISH = [[
function __moonpipe_in
  for word in (commandline -opc)[2..]
    string match -q -- '-*' $word; and continue
    test "$word" = "$argv[1]"
    return
  end
  test -z "$argv[1]"
end

function __moonpipe_files
  for ending in $argv
    __fish_complete_suffix .$ending
  end
end

complete -c moonpipe -f
]]

local function fish_files(files)
  if #files == 0 then return " -F" end
  return (" -a '(__moonpipe_files %s)'"):format(table.concat(files, " "))
end

local function fish_value(option)
  if not option.value then return "" end
  local must = option.optional and "" or " -x"
  if option.among then return ("%s -a '%s'"):format(must, table.concat(option.among, " ")) end
  if not option.files then return must end
  return (#option.files == 0 and "" or must) .. (option.optional and "" or " -r")
    .. fish_files(option.files)
end

local function add_fish(out, command)
  local start = ("complete -c moonpipe -n '__moonpipe_in %s'"):format(
    command.name == "" and '""' or command.name)
  if command.among then
    out[#out + 1] = ("%s -a '%s'"):format(start, table.concat(command.among, " "))
  elseif not command.files or #command.files > 0 then
    out[#out + 1] = start .. fish_files(command.files or {})
  end
  for _, option in ipairs(options.all(command)) do
    out[#out + 1] = ("%s -l %s%s%s -d '%s'"):format(start, option.name,
      option.short and " -s " .. option.short or "", fish_value(option), one_line(option.help))
  end
end

function WRITE.fish(list)
  local out = { FISH }
  for _, command in ipairs(list) do
    if command.name ~= "" then
      out[#out + 1] = ("complete -c moonpipe -n '__moonpipe_in \"\"' -a %s -d '%s'"):format(
        command.name, one_line(command.summary))
    end
    add_fish(out, command)
  end
  return table.concat(out, "\n") .. "\n"
end

-- ---- zsh -----------------------------------------------------------------------------------

local function zsh_files(files)
  if #files == 0 then return "_files" end
  -- One ending in parentheses would be a qualifier.
  if #files == 1 then return ('_files -g "*.%s"'):format(files[1]) end
  return ('_files -g "*.(%s)"'):format(table.concat(files, "|"))
end

local function zsh_value(option)
  if not option.value then return "" end
  local action = option.among and ("(%s)"):format(table.concat(option.among, " "))
    or option.files and zsh_files(option.files) or " "
  return (option.optional and "::" or ":") .. option.value:lower() .. ":" .. action
end

local function zsh_option(option)
  local help = one_line(option.help):gsub("[%[%]:]", "\\%0")
  local rest = ("[%s]%s"):format(help, zsh_value(option))
  local long = "--" .. option.name .. (option.inline and "=-" or option.value and "=" or "")
  local again = option.many and "*" or ""
  if not option.short then return ("'%s%s%s'"):format(again, long, rest) end
  local both = option.many and "*" or ("(-%s --%s)"):format(option.short, option.name)
  return ("'%s'{-%s%s,%s}'%s'"):format(both, option.short, option.value and "+" or "", long, rest)
end

local function zsh_words(command)
  if command.among then return ("'*:word:(%s)'"):format(table.concat(command.among, " ")) end
  if command.files and #command.files == 0 then return "" end
  if not command.stops then return ("'*:file:%s'"):format(zsh_files(command.files or {})) end
  return ("'1:file:%s' '*::argument:_files'"):format(zsh_files(command.files or {}))
end

local function zsh_specs(command)
  local lines = {}
  for _, option in ipairs(options.all(command)) do lines[#lines + 1] = zsh_option(option) end
  return table.concat(lines, " \\\n        ")
end

local ZSH = [[
#compdef moonpipe

_moonpipe_words() {
  local -a names
  names=(
%s
  )
  _describe command names
  _files -g "*.lua"
}

_moonpipe_command() {
  case $words[1] in
%s
    *) _files ;;
  esac
}

_moonpipe() {
  local curcontext=$curcontext state line
  local -A opt_args
  _arguments -s -S %s \
    '1: :_moonpipe_words' '*:: :_moonpipe_command'
}

_moonpipe "$@"
]]

function WRITE.zsh(list)
  local cases, names, own = {}, {}, ""
  for _, command in ipairs(list) do
    local specs = zsh_specs(command)
    if command.name == "" then
      own = specs
    else
      names[#names + 1] = ("    '%s:%s'"):format(command.name,
        (one_line(command.summary):gsub(":", "\\:")))
      cases[#cases + 1] = ("    %s)\n      _arguments -s %s \\\n        %s ;;"):format(command.name,
        specs, zsh_words(command))
    end
  end
  return ZSH:format(table.concat(names, "\n"), table.concat(cases, "\n"), own)
end

function completion.run(_, words)
  local write = WRITE[words[1]]
  if #words ~= 1 or not write then
    return "completion takes one of " .. table.concat(SHELLS, ", ")
  end
  io.write(write(tables()))
end

return completion
