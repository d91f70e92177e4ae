"""What all models have in common: they do not change, and there is a quick way to make a trusted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict

R = TypeVar("R", bound="Record")

_set = object.__setattr__


class Record(BaseModel):
    """A frozen model. Fields that a newer jidoka may have added are ignored when one is read."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with *update* on top. As pydantic's, for a trusted one too."""
        copied = super().model_copy(deep=deep)
        if update:
            _set(copied, "__dict__", {**copied.__dict__, **update})
            _set(copied, "__pydantic_fields_set__", {*copied.model_fields_set, *update})
        return copied


def trusted(cls: type[R], names: frozenset[str], fields: dict[str, Any]) -> R:
    """One made of *fields* that need no validation: all of them, none more, each of its type.

    It does what `model_construct` does, in a quarter of the time: sessions make one for each message.
    """
    record = cls.__new__(cls)
    _set(record, "__dict__", fields)
    _set(record, "__pydantic_fields_set__", names)
    _set(record, "__pydantic_extra__", None)
    _set(record, "__pydantic_private__", None)
    return record
