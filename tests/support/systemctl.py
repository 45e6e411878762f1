#!/usr/bin/python3
# The systemctl of a test's instance: hands its words to the instance's first process (instance_init.py).
import json
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("/run/init.socket")
    connection.sendall(json.dumps(sys.argv[1:]).encode() + b"\n")
    answer = json.loads(connection.makefile().readline())
if answer["error"]:
    print(answer["error"], file=sys.stderr)
sys.exit(1 if answer["error"] else 0)
