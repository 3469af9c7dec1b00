--: exit 7
print("before")                                 --> before
os.exit(7)
