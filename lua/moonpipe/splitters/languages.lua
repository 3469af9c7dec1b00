--- Where the texts of a language may be cut, the most telling places first: what begins a part of a
--- program stands at the start of its line.

-- Lines that begin with one of the words in [text] and [behind], then at [more], then anywhere.
local function starts(text, behind, more)
  local list = {}
  for word in text:gmatch("%S+") do list[#list + 1] = "\n" .. word .. behind end
  for _, one in ipairs(more) do list[#list + 1] = one end
  for _, one in ipairs { "\n\n", "\n", " ", "" } do list[#list + 1] = one end
  return list
end

local function words(text, ...)
  return starts(text, " ", { ... })
end

local C = "class namespace struct enum union typedef void int char long unsigned float double"
  .. " static if for while switch case"

local languages = {
  c = words(C),
  cobol = starts([[
    IDENTIFICATION
    ENVIRONMENT
    DATA
    PROCEDURE
    WORKING-STORAGE
    LINKAGE
    FILE
    INPUT-OUTPUT]], "", { "\nOPEN ", "\nCLOSE ", "\nREAD ", "\nWRITE ", "\nIF ", "\nPERFORM ",
    "\nEVALUATE ", "\nMOVE " }),
  cpp = words(C),
  csharp = words("interface enum delegate event class abstract public protected private static"
    .. " return if continue for foreach while switch break case else try throw finally catch"),
  elixir = words("defmodule", "\n  defprotocol ", "\n  defimpl ", "\n  defmacro ",
    "\n  defmacrop ", "\n  def ", "\n  defp ", "\ndef ", "\ndefp ", "\n    if ", "\n    case ",
    "\n    cond ", "\n    with ", "\n    for "),
  go = words "func var const type if for switch case",
  haskell = words("module import class instance data newtype type deriving infixl infixr infix",
    "\n  where", "\n  let ", "\n  do", "\n  case ", "\n  if "),
  html = { "<body", "<div", "<section", "<article", "<h1", "<h2", "<h3", "<h4", "<p", "<br", "<li",
    "<table", "<tr", "<td", "<th", "<ul", "<ol", "<header", "<footer", "<nav", "<head", "<style",
    "<script", "<meta", "<title", "\n\n", "\n", " ", "" },
  java = words("class interface enum public protected private static if for while switch case"),
  js = words("class export function const let var if for while switch case default"),
  kotlin = words("class interface object public protected private internal companion fun val var"
    .. " if for while when else"),
  latex = starts([[
    \chapter{
    \section{
    \subsection{
    \subsubsection{
    \begin{enumerate}
    \begin{itemize}
    \begin{description}
    \begin{list}
    \begin{quote}
    \begin{quotation}
    \begin{verse}
    \begin{verbatim}
    \begin{align}]], "", {}),
  lua = words("function", "\nlocal function ", "\nlocal ", "\nreturn ", "\nif ", "\nfor ",
    "\nwhile ", "\nrepeat", "\n  function ", "\n  local function "),
  markdown = words("# ## ### #### ##### ######", "```\n", "\n***\n", "\n---\n", "\n___\n"),
  perl = words("package sub my use if for foreach while until"),
  php = words("namespace class interface trait function if foreach while do switch case"),
  powershell = words("function filter class enum param if foreach for while switch try catch"),
  proto = words("message service enum option import syntax"),
  python = words("class def", "\nasync def ", "\n    def ", "\n\tdef ", "\n    async def "),
  rst = words("", "\n===\n", "\n---\n", "\n***\n", "\n.. "),
  ruby = words("module class def if unless while for do begin rescue"),
  rust = words("mod impl trait struct enum fn pub const static let if while for loop match"),
  scala = words("class object trait def val var if for while match case"),
  sh = words("function if for while until case"),
  sol = words("pragma using contract interface library constructor type function event modifier"
    .. " error struct enum if for while do assembly"),
  sql = words("CREATE ALTER DROP WITH SELECT INSERT UPDATE DELETE", ";\n"),
  swift = words("class struct enum protocol extension func if for while do switch case"),
  ts = words("enum interface namespace type class export function const let var if for while"
    .. " switch case default"),
  visualbasic6 = words("Public Private Friend Static Sub Function Property Type Enum Const Dim If"
    .. " For Do While Select With"),
}

-- Other names that the field has for them.
languages.javascript, languages.typescript = languages.js, languages.ts
languages.bash, languages.md = languages.sh, languages.markdown
languages.solidity = languages.sol

return languages
