"""Which errors are the machine's and which are a trial's own."""

import errno

import pytest

from search.errors import StudyFileError, machine_cause, own_files

OWN = [errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOENT, errno.ENOTDIR]
ANY = [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE]


def raised(number: int) -> OSError:
    with pytest.raises(StudyFileError) as caught, own_files():
        raise OSError(number, "it failed", "predictions.npz")
    return caught.value


@pytest.mark.parametrize("number", OWN + ANY)
def test_whatever_keeps_the_studys_own_files_from_being_used_is_the_machines(number):
    error = raised(number)
    assert machine_cause(error) == "machine"
    assert (error.errno, error.strerror, error.filename) == (number, "it failed", "predictions.npz")


@pytest.mark.parametrize("number", ANY)
def test_a_failing_disk_and_a_full_table_of_files_are_the_machines_at_any_file(number):
    assert machine_cause(OSError(number, "it failed")) == "machine"


@pytest.mark.parametrize("number", OWN)
def test_a_file_of_the_users_that_is_closed_to_us_is_not_the_machines(number):
    assert machine_cause(OSError(number, "it failed")) == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_want_of_room_is_the_disks_at_any_file(number):
    assert machine_cause(OSError(number, "full")) == machine_cause(raised(number)) == "disk"


def test_other_errors_are_a_trials_own():
    assert machine_cause(ValueError("x")) == ""
