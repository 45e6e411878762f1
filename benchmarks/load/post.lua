-- What `imgrec load` sends, for wrk.
wrk.method = "POST"
wrk.path = "/v1/classify?name=small.jpg"
wrk.body = string.rep("x", 64)
wrk.headers["Content-Type"] = "application/octet-stream"
