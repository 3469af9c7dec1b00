--- Help, manual pages and completion, held against the tables of the commands and the code.
local commands = require "moonpipe.tool.commands"
local helper = require "spec.helper"
local options = require "moonpipe.tool.options"

local program = require "moonpipe.tool.program"

local function run(...)
  local stdout, stderr, code = helper.moonpipe({ ... }, nil, { MOONPIPE_MODEL = false })
  assert.equal(0, code, stderr)
  return stdout, stderr
end

local function refused(said, ...)
  local stdout, stderr, code = helper.moonpipe { ... }
  assert.same({ "", 2 }, { stdout, code })
  assert.truthy(stderr:find(said, 1, true), stderr)
end

-- Each command, and the program itself under "".
local function each_table(fn)
  for _, name in ipairs(commands.names()) do fn(commands.find(name)) end
  fn(program)
end

local function columns(line)
  local _, continued = line:gsub("[\128-\191]", "")
  return #line - continued
end

describe("tables of commands", function()
  it("are whole, and sentences", function()
    each_table(function(command)
      local name = command.name
      assert.truthy(command.summary:find "^%u[^\n]*%.$", name)
      assert.truthy(command.example:find("^moonpipe"), name)
      for _, option in ipairs(command.options) do
        assert.truthy(option.help and #option.help > 3, name .. " --" .. option.name)
        assert.is_nil(option.help:find "%.$", name .. " --" .. option.name)
        assert.truthy(not option.among or option.value, name .. " --" .. option.name)
      end
      for _, exit in ipairs(require("moonpipe.tool.help").exit_rows(command)) do
        assert.truthy(exit.text, ("%s: %d"):format(name, exit.code))
      end
    end)
  end)

  it("have their names, and are found by them alone", function()
    for _, name in ipairs(commands.names()) do assert.equal(name, commands.find(name).name) end
    assert.is_nil(commands.find "no such")
    assert.is_false(commands.has "no such")
  end)
end)

describe("moonpipe help", function()
  it("tells each command with all its options, and an example, in 80 columns", function()
    each_table(function(command)
      local help = command.name == "" and run "--help" or run(command.name, "--help")
      for _, option in ipairs(options.all(command)) do
        local short = option.short and "-" .. option.short .. ", " or "    "
        local shown = short .. options.shown(option)
        assert.truthy(help:find("\n  " .. shown, 1, true), help)
      end
      assert.truthy(help:find("^usage: moonpipe " .. command.name), help)
      assert.truthy(help:find "\nexamples?:\n  moonpipe", help)
      assert.truthy(help:find("\nexit codes:\n  0 ", 1, true), help)
      for line in help:gmatch "[^\n]+" do assert.truthy(columns(line) <= 80, line) end
    end)
  end)

  it("lists every command", function()
    local all = run "help"
    assert.equal(all, (run "--help"))
    for _, name in ipairs(commands.names()) do
      assert.truthy(all:find("\n  " .. name .. "  ", 1, true), name)
    end
  end)

  it("tells one command, and says which it knows", function()
    assert.equal(run("batch", "--help"), (run("help", "batch")))
    refused("there is no command 'bacth'; did you mean 'batch'?", "help", "bacth")
    refused("help takes one command", "help", "batch", "ask")
  end)

  it("knows a command that was written wrong from a file", function()
    refused("'rnu' is no command and no file; did you mean 'run'?", "rnu", "x.lua")
    refused("'grpah' is no command and no file; did you mean 'graph'?", "grpah", "x.lua")
    local _, stderr, code = helper.moonpipe { "nosuch.lua" }
    assert.equal(2, code)
    assert.truthy(stderr:find("cannot open nosuch.lua", 1, true), stderr)
  end)
end)

describe("options of a command line", function()
  it("may have their value behind the letter", function()
    refused("--results takes a positive integer, got 'x'", "ask", "--results=x", "a")
    refused("-k takes a positive integer, got 'x'", "ask", "-kx", "a")
    refused("unknown option '--trace=a.json' of run; it stands before the command: "
      .. "moonpipe --trace=a.json run …", "run", "--trace=a.json", "x.lua")
    refused("unknown option '-zx' of ask", "ask", "-zx", "a")
  end)

  it("take a value behind = only where they say so", function()
    refused("--jit takes a value: WHEN", "--jit", "off", "-e", "print(1)")
    refused("--jit takes one of off, on, got 'of'; did you mean 'off'?", "--jit=of", "-e", "")
    assert.equal("sandbox.lua\n", (helper.moonpipe { "run", helper.temp "print((...))",
      "sandbox.lua", "--sandbox" }))
  end)

  it("end where a script, or its code, begins", function()
    assert.equal("--trace -e\n", (run("-e", "print(...) ", "--trace", "-e"):gsub("\t", " ")))
    assert.equal("--help\n", (run("run", helper.temp "print((...))", "--help")))
    assert.equal("--help\n", (run("run", "--sandbox", helper.temp "print((...))", "--help")))
    assert.equal("2\n", (run("--eval=print(select('#', ...))", "a", "b")))
  end)
end)

-- ---- manual pages --------------------------------------------------------------------------

describe("moonpipe man", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    helper.moonpipe { "man", "--output", folder }
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  local function file_of(command)
    return ("%s/moonpipe%s.1"):format(folder, command.name == "" and "" or "-" .. command.name)
  end

  it("writes a page for each command that man and mandoc find nothing wrong with", function()
    local stdout, _, code = helper.execute { "sh", "-c", "mandoc -T lint " .. folder .. "/*.1" }
    assert.same({ "", 0 }, { stdout, code })
    each_table(function(command)
      local _, stderr = helper.execute({ "man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
        file_of(command) }, nil, { LC_ALL = "C.UTF-8", MANROFFSEQ = "", MANWIDTH = 80 })
      assert.equal("", stderr)
    end)
  end)

  -- A page as a reader sees it, on one line.
  local function shown(command)
    return (helper.execute({ "mandoc", "-T", "utf8", "-O", "width=200", file_of(command) })
      :gsub(".\8", ""):gsub("%s+", " "))
  end

  it("tells each option and exit code of each command, and an example", function()
    each_table(function(command)
      local page = shown(command)
      for _, option in ipairs(options.all(command)) do
        local text = (option.short and "-" .. option.short .. ", " or "")
          .. options.shown(option) .. " " .. option.help:sub(1, 1):upper()
          .. option.help:sub(2):gsub("%s+", " "):gsub("`", "")
        assert.truthy(page:find(text, 1, true), text .. "\n" .. page)
      end
      for _, section in ipairs { "NAME moonpipe", "SYNOPSIS moonpipe", "EXIT STATUS 0 Success.",
        "EXAMPLES moonpipe", "SEE ALSO moonpipe" } do
        assert.truthy(page:find(section, 1, true), page)
      end
    end)
  end)

  it("prints a page, and says which it knows", function()
    assert.equal(helper.read(file_of(program)), (run "man"))
    assert.truthy(run("man", "batch"):find("^%.TH MOONPIPE\\%-BATCH 1 "))
    refused("there is no command 'batsh'; did you mean 'batch'?", "man", "batsh")
    refused("man takes one command", "man", "batch", "ask")
    refused("it writes all pages", "man", "-o", folder, "batch")
    local _, stderr, code = helper.moonpipe { "man", "-o", "/no/such/folder" }
    assert.equal(1, code)
    assert.truthy(stderr:find("cannot write /no/such/folder", 1, true), stderr)
  end)

  it("bears the day that a build asks for", function()
    local page = helper.moonpipe({ "man" }, nil, { SOURCE_DATE_EPOCH = 86400 })
    assert.truthy(page:find(" 1970-01-02 ", 1, true))
  end)

  -- Words of the code that look like variables, and are not, and what libcurl reads.
  local OTHER_WORDS = { NO_FILTER = true, RETRIEVAL_QUERY = true, RETRIEVAL_DOCUMENT = true,
    LC_ALL = true, STATUS_CODE_ERROR = true }
  local OF_LIBCURL = { no_proxy = true, NO_PROXY = true }

  local function read_by_the_code()
    local found, texts = {}, {}
    local files = assert(io.popen("find lua/moonpipe engine -name '*.lua' -o -name '*.c'"))
    for path in files:lines() do
      if not path:find "/meta/" and not path:find "tool/environment.lua" then
        texts[#texts + 1] = helper.read(path)
      end
    end
    files:close()
    local text = table.concat(texts, "\n")
    for name in text:gmatch 'getenv *%(?"([%w_]+)"' do found[name] = true end
    for name in text:gmatch '"(%u[%u%d]*_[%u%d_]+)"' do found[name] = true end
    for name in text:gmatch '"(%l+_proxy)"' do found[name] = true end
    for name in pairs(OTHER_WORDS) do found[name] = nil end
    return found
  end

  it("names the variables that the code reads, and no others", function()
    local known, read = {}, read_by_the_code()
    for _, group in ipairs(require "moonpipe.tool.environment") do
      for _, variable in ipairs(group) do
        known[variable[1]] = true
        if variable[3] then known[variable[3]] = true end
      end
    end
    for name in pairs(read) do assert.truthy(known[name], name .. " is read, and not in the page") end
    for name in pairs(known) do
      assert.truthy(read[name] or OF_LIBCURL[name], name .. " is in the page, and not read")
    end
    assert.truthy(shown(program):find("MOONPIPE_MODEL The chat model", 1, true))
  end)
end)

-- ---- completion ----------------------------------------------------------------------------

-- What a shell must offer behind `moonpipe NAME --`: the options' long names.
local function expected()
  local list = {}
  each_table(function(command)
    for _, option in ipairs(options.all(command)) do
      list[#list + 1] = (command.name .. " --" .. option.name):gsub("^ ", "")
    end
  end)
  return list
end

-- Lines `NAME --option`, of what a shell offered.
local function check_offered(offered)
  local found = {}
  for line in offered:gmatch "[^\n]+" do found[line:gsub("=$", "")] = true end
  for _, line in ipairs(expected()) do assert.truthy(found[line], line .. "\n" .. offered) end
end

local function names()
  return table.concat(commands.names(), " ") .. " ''"
end

describe("moonpipe completion", function()
  it("takes a shell that it knows", function()
    refused("completion takes one of bash, fish, zsh", "completion", "csh")
    refused("completion takes one of bash, fish, zsh", "completion")
  end)

  local BASH = [[
%s
offer() {
  COMP_WORDS=(moonpipe "$@") COMP_CWORD=$#
  _moonpipe
}
]]

  local function in_bash(text)
    local script = helper.temp(BASH:format((run("completion", "bash"))) .. text)
    local stdout, stderr = helper.execute { "bash", "--norc", script }
    assert.equal("", stderr)
    return stdout
  end

  it("offers every option of every command in bash", function()
    check_offered(in_bash(([[
for name in %s; do
  offer ${name:+"$name"} --
  printf "${name:+$name }%%s\n" "${COMPREPLY[@]}"
done]]):format(names())))
  end)

  it("offers commands, values and files in bash", function()
    local folder = helper.fresh()
    os.execute(("mkdir -p '%s/a folder'; cd %s; touch one.lua 'two words.lua' three.jsonl"):format(
      folder, folder))
    local function offered(words)
      return in_bash(("cd %s; offer %s; printf '%%s\\n' \"${COMPREPLY[@]}\" | sort"):format(folder,
        words))
    end
    assert.equal("models\n", offered "mod")
    assert.equal("hybrid\n", offered "ask --search h")
    assert.equal("hybrid\n", offered "ask --search = h")
    assert.equal("dot\n", offered "graph one.lua -f d")
    assert.equal("never\n", offered "graph one.lua --color n")
    assert.equal("off\non\n", offered "--jit = ''")
    assert.equal("a folder\none.lua\ntwo words.lua\n", offered "graph ''")
    assert.equal("a folder\none.lua\ntwo words.lua\n", offered "--trace graph ''")
    assert.equal("three.jsonl\n", offered "run th")
    assert.equal("zsh\n", offered "completion z")
    assert.equal("\n", offered "doctor ''")
    os.execute("rm -r " .. folder)
  end)

  local function in_fish(text)
    local path = helper.temp((run("completion", "fish")))
    local home = helper.fresh() -- it writes there, whatever it is asked
    local stdout, stderr = helper.execute({ "fish", "--no-config", "-c",
      ("source %s; %s"):format(path, text) }, nil, { XDG_CONFIG_HOME = home, XDG_DATA_HOME = home })
    os.execute("rm -rf " .. home)
    assert.equal("", stderr)
    return (stdout:gsub("\t[^\n]*", ""))
  end

  it("offers every option of every command in fish", function()
    check_offered(in_fish(([[
      for name in %s
        for line in (complete -C "moonpipe $name --")
          string trim "$name $line"
        end
      end]]):format(names())))
  end)

  it("offers commands, values and files in fish", function()
    assert.equal("models\n", in_fish "complete -C 'moonpipe mod'")
    assert.equal("hybrid\n", in_fish "complete -C 'moonpipe ask --search h'")
    assert.equal("--search=hybrid\n", in_fish "complete -C 'moonpipe ask --search=h'")
    assert.equal("--jit=off\n--jit=on\n", in_fish "complete -C 'moonpipe --jit=' | sort")
    assert.equal("zsh\n", in_fish "complete -C 'moonpipe completion z'")
    assert.equal("", in_fish "complete -C 'moonpipe doctor READ'")
    assert.equal("scripts/rag.lua\n", in_fish "complete -C 'moonpipe graph scripts/rag.l'")
  end)

  -- zsh completes only at a terminal: a zsh in one prints what it would offer.
  local ZSH = [=[
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1= fpath=($1 \$fpath); autoload -U compinit; compinit -D -u"
zpty -w z 'compadd() {
  local -a found
  [[ " $* " = *" -O "* || " $* " = *" -D "* || " $* " = *" -A "* ]] && {
    builtin compadd "$@"; return }
  builtin compadd -O found "$@"
  print -r -- "@OFFER ${(j: :)found}@"
  builtin compadd "$@"
}'
zpty -w z 'show() { zle complete-word; print -r -- "@DONE@"; BUFFER= ; zle accept-line }'
zpty -w z 'zle -N show; bindkey "^I" show; print @READY''@'
wait_for() { local text all; while zpty -r z text; do
  all+=$text; [[ $text = *$1* ]] && break; done; print -r -- "$all" }
wait_for @READY@ >/dev/null
for line in "${@[2,-1]}"; do
  zpty -w -n z "$line"$'\t'
  print -r -- "=== $line"
  wait_for @DONE@ | grep -o '@OFFER [^@]*' | sed 's/@OFFER //'
done
zpty -d z
]=]

  local function in_zsh(lines)
    local folder = helper.fresh()
    os.execute("mkdir " .. folder)
    helper.write(folder .. "/_moonpipe", (run("completion", "zsh")))
    local stdout, stderr = helper.execute { "zsh", "-f", helper.temp(ZSH), folder, unpack(lines) }
    os.execute("rm -r " .. folder)
    assert.equal("", stderr)
    return stdout
  end

  it("offers every option of every command in zsh, and values", function()
    local lines = { "moonpipe --", "moonpipe ask --search h", "moonpipe mod",
      "moonpipe completion z" }
    for _, name in ipairs(commands.names()) do
      lines[#lines + 1] = ("moonpipe %s --"):format(name)
    end
    local out, text = {}, in_zsh(lines)
    for line, offers in text:gmatch "=== moonpipe ([^\n]*)\n([^=]*)" do
      local command = line:gsub("%-%-$", "")
      for word in offers:gmatch "%S+" do out[#out + 1] = command .. word end
    end
    check_offered(table.concat(out, "\n"))
    assert.truthy(text:find("--search h\nhybrid", 1, true), text)
    assert.truthy(text:find("moonpipe mod\nmodels", 1, true), text)
    assert.truthy(text:find("completion z\nzsh", 1, true), text)
  end)
end)
