"""Passwords: the rule they must meet, and argon2id hashes.

Hashing costs about 19 MiB and some 30 ms (OWASP Password Storage Cheat Sheet:
argon2id m=19456 KiB, t=2, p=1); call `hash_password` and `matches` in a worker thread.
"""

from __future__ import annotations

from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

Weakness = Literal["too_short", "too_long", "too_few_classes", "contains_user", "common"]
"""Why a password is refused; a code, so that the dashboard says it in its language."""

SHORTEST = 10
LONGEST = 200
CLASSES = 3

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

# From lists of leaked passwords: those that would pass the other rules, in lower case.
_LEAKED = """
password1! password12! password123! password@1 password@123 passw0rd123 p@ssw0rd123 p@ssword123
p@ssw0rd1234 admin@1234 admin@12345 admin@123456 admin12345! admin123456! administrator1 root@123456
qwerty123! qwerty1234 qwerty12345 qwerty123456 1qaz@wsx3edc 1qaz2wsx3edc! zaq12wsx!! asdf1234!@
abc123456! abc@123456 abc12345678 abcd1234! abcd@1234 abcd1234!@ abcd123456 aa12345678 aa123456789
aa123456!! aa@12345678 a123456789! a12345678! welcome123 welcome123! welcome@123 welcome1234 iloveyou123
iloveyou1! test@12345 test123456 test1234!! user@12345 user123456 guest12345 changeme123 changeme1!
letmein123! woaini1314 woaini520! woaini123456 xuexiao123! school123! school@123 campus123! campus@123
huawei@123 huawei12#$ huawei12345 hikvision123 hik12345+! dahua12345 superman123 dragon1234 football123
monkey1234 sunshine123 princess123
"""
_COMMON = frozenset(_LEAKED.split())


def weakness(password: str, user: str) -> Weakness | None:
    """Why `password` must not be used by `user`, `None` when it may.

    The rule (GB/T 22239-2019, identity): 10 characters or more, three of the four classes
    lower case, upper case, digit and other; not the user's name; not a common one.
    """
    if len(password) < SHORTEST:
        return "too_short"
    if len(password) > LONGEST:
        return "too_long"
    folded = password.casefold()
    # Names of one or two characters stand in many good passwords by chance.
    if folded == user.casefold() or (len(user) > 2 and user.casefold() in folded):
        return "contains_user"
    if folded in _COMMON:
        return "common"
    return None if len({_class(letter) for letter in password}) >= CLASSES else "too_few_classes"


def _class(letter: str) -> str:
    if letter.islower():
        return "lower"
    if letter.isupper():
        return "upper"
    return "digit" if letter.isdigit() else "other"


def hash_password(password: str) -> str:
    """The argon2id hash in its own text form, salt and cost included."""
    return _HASHER.hash(password)


def matches(hashed: str, password: str) -> bool:
    """Whether `password` made the hash; a damaged hash matches nothing."""
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$JZ7NAsn55aPHIHpy/eoCfQ$9wk8bsKbxKhN9h4p5aLdfi9PKb7dnR1qVaAb7Mz2Plg"
)
"""Hash of a random password nobody kept. It stands in for the hash of an unknown user, so that
refusing takes as long as for a known one."""
