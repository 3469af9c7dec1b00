--- The commands that are tables, each a module beside this one.
return { "ask", "completion", "doctor", "graph", "index", "models", "new" }
