"""What Windows refuses, as one sentence that says what to do."""

import pytest

from cticache.errors import UserError
from cticache.service.refusals import told


class Refused(Exception):
    """As pywin32 has it."""

    def __init__(self, winerror: int, strerror: str) -> None:
        super().__init__(winerror, "StartService", strerror)
        self.winerror, self.strerror = winerror, strerror


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (5, "Run as administrator"),
        (1055, "try again in a minute"),
        (1056, "the service phones runs already"),
        (1057, r"--account .\bob: there is no such account here, or its password is wrong; write it as DOMAIN\NAME"),
        (1058, "`sc config phones start= auto` enables it"),
        (1060, "there is no service phones: `cticache service install` makes it"),
        (1062, "the service phones does not run"),
        (1063, "`cticache service start` starts that"),
        (1069, r"the service phones cannot log on as .\bob: its password is wrong, or it has not the right to log on"),
        (1072, "close the window of the services"),
        (1073, "there is a service phones already: `cticache service remove` removes it"),
        (1332, r"--account .\bob: there is no such account here"),
        (1053, "Windows does not do that for the service phones: It did not answer (error 1053)"),
    ],
)
def test_what_windows_refuses_is_a_sentence_that_says_what_to_do(code: int, says: str) -> None:
    with pytest.raises(UserError) as refused, told(Refused, "phones", r".\bob"):
        raise Refused(code, "It did not answer.")
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_no_refusal_of_windows_passes() -> None:
    with pytest.raises(KeyError), told(Refused, "phones"):
        raise KeyError
