"""The socket that worker processes share."""

import threading

from cticache.loop.listen import open_port, reserve


def test_the_listener_does_not_block_and_no_duplicate_of_it_makes_it_block() -> None:
    """On Windows, starting a worker duplicates it, and sets the duplicate, and with it the one socket, as it is set."""
    with reserve("127.0.0.1", 0) as listener:
        open_port(listener)
        assert listener.gettimeout() == 0
        with listener.dup() as duplicate:
            assert duplicate.gettimeout() == 0
        answers: list[object] = []

        def accept() -> None:
            try:
                answers.append(listener.accept())
            except BlockingIOError as error:
                answers.append(error)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        thread.join(20)
        assert len(answers) == 1
        assert isinstance(answers[0], BlockingIOError)
