--: exit 1
io.write("no line end\n")                       --> no line end
os.exit(false)
