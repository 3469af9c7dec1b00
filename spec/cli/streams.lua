io.stdout:write("to stdout\n")                  --> to stdout
io.stderr:write("to stderr\n")                  --! to stderr
print("done")                                   --> done
