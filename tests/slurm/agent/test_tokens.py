"""Tokens for slurmrestd: asked for in the very words of sudo's rule, kept for less than they live, never repeated."""

from pathlib import Path

import pytest

from csched import shipped
from csched.errors import Unavailable
from csched_slurm.agent.tokens import LIFESPAN_S, Tokens

RULE = f"/usr/bin/scontrol token username=root lifespan={LIFESPAN_S}"


class Desk:
    """A sudo that writes down what it was asked, and answers as scontrol does."""

    def __init__(self, folder: Path) -> None:
        self.asked = folder / "asked"
        self.asked.touch()
        self.answer = folder / "answer"
        self.answer.write_text("SLURM_JWT=ey.J.x\n")
        sudo = folder / "sudo"
        sudo.write_text(
            "#!/usr/bin/python3 -IS\nimport sys\n"
            f"open({str(self.asked)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            f"print(open({str(self.answer)!r}).read(), end='')\n"
        )
        sudo.chmod(0o755)
        self.now = 0.0
        self.tokens = Tokens("csched", "slurm", {"PATH": "/usr/bin:/bin"}, sudo=sudo, seconds=lambda: self.now)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_token_is_made_by_the_rule_once_for_some_minutes(desk: Desk) -> None:
    assert {desk.tokens.of("root") for _ in range(3)} == {"ey.J.x"}
    assert desk.asked.read_text() == f"-n -u slurm -- {RULE}\n"
    desk.now = LIFESPAN_S - 30
    desk.tokens.of("root")
    assert len(desk.asked.read_text().splitlines()) == 2
    shipped_rule = (shipped.slurm_site() / "sudoers/csched-token").read_text()
    assert RULE.replace("username=root", "username=alice") in shipped_rule


@pytest.mark.parametrize("said", ["", "sudo: a password is required\n", "SLURM_JWT=\n", "SLURM_JWT=a\x1bb\n"])
def test_no_token_is_an_error_that_repeats_nothing(desk: Desk, said: str) -> None:
    desk.answer.write_text(said)
    with pytest.raises(Unavailable) as error:
        desk.tokens.of("root")
    assert "no token of `root`" in str(error.value)
    assert not said.strip() or said.strip() not in str(error.value)
