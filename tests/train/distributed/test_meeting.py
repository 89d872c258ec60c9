"""Processes that were started by hand meet, or say why they cannot; here they are threads."""

import functools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxsched.train.distributed.meeting import Address, Meeting


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", free.getsockname()[1])


def meet(address, *numbers, seconds=20.0):
    """Lets processes with these (processes, process_id) meet; returns their errors, None or not."""

    def one(processes, process_id):
        said = []
        meeting = Meeting(address, processes, process_id, say=said.append, seconds=seconds)
        try:
            meeting.wait()
        except (ValueError, TimeoutError) as error:
            return error
        assert processes == 1 or str(address.port) in said[0]
        return None

    with ThreadPoolExecutor(len(numbers)) as threads:
        return [thread.result() for thread in [threads.submit(one, *pair) for pair in numbers]]


def test_all_processes_go_once_all_are_there(address):
    assert meet(address, (1, 0)) == [None]
    assert meet(address, (3, 2), (3, 0), (3, 1)) == [None] * 3


def test_the_missing_ones_are_named(address):
    (error,) = meet(address, (3, 0), seconds=0.6)
    assert isinstance(error, TimeoutError)
    assert f"process 0 has waited 1 s for process 1, 2 to connect to port {address.port}" in str(
        error
    )
    (error,) = meet(address, (2, 1), seconds=0.6)
    assert f"process 1 has waited 1 s for process 0 to listen at 127.0.0.1:{address.port}" in str(
        error
    )


def test_numbers_that_do_not_fit_are_refused_everywhere(address):
    first, *_ = errors = meet(address, (3, 0), (3, 1), (3, 1))
    assert "two processes were started with --process-id 1" in str(first)
    assert [str(error) for error in errors] == [str(first)] * 3
    for error in meet(address, (2, 0), (3, 1)):
        assert "with --processes 3 and process 0 with --processes 2" in str(error)


def test_a_port_in_use_is_refused(address):
    with socket.create_server(("", address.port)):
        (error,) = meet(address, (2, 0))
    assert f"cannot listen on port {address.port}" in str(error)
    assert "give a --coordinator with another port" in str(error)


def test_what_is_no_process_is_told_apart(address):
    """A server of another kind answers; a scanner of ports sends nothing, or nonsense."""
    with socket.create_server(("", address.port)) as server:

        def greet():
            connection, _ = server.accept()
            connection.sendall(b"\x00\x00\x12\x04 settings")
            connection.recv(100)
            connection.close()

        threading.Thread(target=greet).start()
        (error,) = meet(address, (2, 1))
    assert "is no process that waits for others" in str(error)

    def scan():
        for message in (b"", b"GET / HTTP/1.1\r\n\r\n"):
            while True:
                try:
                    with socket.create_connection(address) as connection:
                        connection.sendall(message)
                    break
                except OSError:
                    time.sleep(0.05)

    scanner = threading.Thread(target=scan)
    scanner.start()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(meet, address, (2, 0))
        scanner.join()
        assert meet(address, (2, 1)) == first.result() == [None]


def greet(address, processes, process_id):
    """Connects as a process does, once process 0 listens."""
    while True:
        try:
            connection = socket.create_connection(address, timeout=20.0)
            break
        except OSError:
            time.sleep(0.05)
    connection.sendall(f"jaxsched {processes} {process_id}\n".encode())
    return connection


def test_a_process_that_was_started_again_takes_its_own_place(address):
    """Process 0 does not take all to be there while the first process 1 has gone."""
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(meet, address, (3, 0))
        greet(address, 3, 1).close()
        with greet(address, 3, 2) as second:
            second.settimeout(0.3)
            with pytest.raises(TimeoutError):
                second.recv(10)
            assert meet(address, (3, 1)) == first.result() == [None]
            assert second.recv(10) == b"go\n"


def test_a_socket_that_is_connected_to_itself_has_found_no_process(address, monkeypatch):
    """Linux makes one where the port that it gives to the socket is the one to connect to."""
    to_itself = functools.partial(socket.create_connection, source_address=address)
    monkeypatch.setattr(socket, "create_connection", to_itself)
    (error,) = meet(address, (2, 1), seconds=0.3)
    assert "for process 0 to listen" in str(error)


@pytest.mark.parametrize("text", ["localhost", ":80", "a:0", "a:65536", "a:b", "http://a:1", ""])
def test_an_address_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="expected a coordinator as HOST:PORT"):
        Address.parse(text)


def test_an_address_may_be_of_ip_version_6():
    assert Address.parse("[::1]:80") == ("::1", 80)
