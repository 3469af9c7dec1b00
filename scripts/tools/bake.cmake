# Writes OUT, a C file that holds every Lua source of FILES (relative to ROOT)
# as text. Text, not bytecode: hosts run other LuaJITs. Compiling it is most of
# the time of a start, so lines that are comments are left empty; the others keep
# their numbers. A line of a long string that began with "-- " would be lost:
# check_floors looks for such. Indentation is left out, except in a file that
# has long strings. A module that uses pairs gets ours (traversal.lua), on
# the line of its first comment: guests keep the one that they have.
set(arrays "")
set(rows "")
set(count 0)
foreach(file ${FILES})
  file(READ ${ROOT}/${file} text)
  string(REGEX REPLACE "\n[ ]*--(-|[ ])[^\n]*" "\n" text "\n${text}")
  string(REGEX REPLACE "\n[ ]*--(-|[ ])[^\n]*" "\n" text "${text}")
  if(NOT text MATCHES "\\[=*\\[")
    string(REGEX REPLACE "\n[ ]+" "\n" text "${text}")
  endif()
  string(SUBSTRING "${text}" 1 -1 text)
  if(text MATCHES "^\n.*[^i]pairs\\(" AND NOT file MATCHES "/traversal.lua$")
    string(PREPEND text "local pairs = require \"moonpipe.traversal\".pairs")
  endif()
  string(HEX "${text}" hex)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "^lua/(.*)\\.lua$" "\\1" module ${file})
  string(REGEX REPLACE "/init$" "" module ${module})
  string(REPLACE "/" "." module ${module})
  string(APPEND arrays
    "static const unsigned char text_${count}[] = {${bytes}0};\n")
  string(APPEND rows
    "    {\"${module}\", \"${file}\", text_${count}, sizeof text_${count} - 1},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUT} "/* Written by scripts/tools/bake.cmake. */
#include \"baked.h\"

${arrays}
const mp_Baked mp_baked[] = {
${rows}    {0, 0, 0, 0}};
")
