--- The commands that are tables, each a module beside this one.
return { "ask", "batch", "completion", "doctor", "graph", "index", "models", "new" }
