"""Forwards a TCP port of this machine to a Unix socket, for tools that know no Unix sockets.

usage: forward.py SOCKET     prints the port, and runs until it is killed

A stream of events, or of changes, has no end: of one the first piece is handed on, and then its end.
"""

import socket
import sys
import threading


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def read_head(stream):
    """All up to the empty line that ends a head; the end of what there is where there is none."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            break
        head += line
    return head


def is_endless(request, head):
    is_chunked = b"chunked" in head.lower()
    is_of_changes = request.split(b"?")[0].split(b" ")[1:2] == [b"/v1/associations/changes"]
    return is_chunked and (b"content-type: text/event-stream" in head.lower() or is_of_changes)


def answer(client, stream, request):
    """Hands on the answer to one request, which is the connection's last."""
    head = read_head(stream)
    client.sendall(head)
    if is_endless(request.split(b"\r\n")[0], head):
        size = stream.readline()
        client.sendall(size + stream.read(int(size, 16) + 2) + b"0\r\n\r\n")
        return
    while data := stream.read1(65536):
        client.sendall(data)


def serve(client, path):
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        requests = client.makefile("rb")
        head = read_head(requests).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        server.sendall(head)
        threading.Thread(target=copy_rest, args=(requests, server), daemon=True).start()
        try:
            answer(client, server.makefile("rb"), head)
        except OSError:
            pass


def copy_rest(requests, server):
    try:
        while data := requests.read1(65536):
            server.sendall(data)
    except (OSError, ValueError):
        pass


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, sys.argv[1]), daemon=True).start()


main()
