--- What the exit codes of the program mean.
return {
  [0] = "success",
  [1] = "the script or the chain failed",
  [2] = "wrong usage, or a file that cannot be read",
  [3] = "configuration or key missing",
  [4] = "refused by the provider",
  [5] = "provider or network failed, after retries",
  [6] = "some items of a batch failed",
  [124] = "a deadline passed",
  [129] = "its terminal went away (SIGHUP)",
  [130] = "interrupted (SIGINT)",
  [141] = "nobody reads the output",
  [143] = "terminated (SIGTERM)",
}
