"""A remote shell without a password, for namespaces that nobody else reaches.

    python far.py serve ADDRESS           # runs what it is told, until it is killed
    python far.py run HOST COMMAND        # as ssh would: input, output and exit code of the command

Over TCP, so that a link that is cut is a command that goes on and a client that hears nothing.
"""

import contextlib
import socket
import subprocess
import sys
import threading

PORT = 5022


def serve(address: str) -> None:
    server = socket.create_server((address, PORT))
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_serve_one, args=(connection,), daemon=True).start()


def _serve_one(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as told:
        command = told.readline().decode().rstrip("\n")
        given = told.readline()  # all that agents are given is one line
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin and process.stdout
        process.stdin.write(given)
        process.stdin.flush()
        for line in process.stdout:
            try:
                connection.sendall(line)
            except OSError:  # nobody listens any more; the command goes on
                continue
        code = process.wait()
        with contextlib.suppress(OSError):
            connection.sendall(f"\0{code}\n".encode())


def run(host: str, command: str) -> int:
    with socket.create_connection((host, PORT)) as connection:
        connection.sendall(command.encode() + b"\n")
        threading.Thread(target=_pass_on, args=(connection,), daemon=True).start()
        with connection.makefile("rb") as said:
            for line in said:
                if line.startswith(b"\0"):
                    return int(line[1:])
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
    return 255


def _pass_on(connection: socket.socket) -> None:
    connection.sendall(sys.stdin.buffer.readline())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(run(sys.argv[2], sys.argv[3]))
