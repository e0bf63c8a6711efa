"""Words for people, in the two languages of the staff."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from drivers.settings import Settings

Words = Annotated[str, Field(min_length=1, max_length=2000)]


class Text(Settings):
    """A text in Chinese and English; a plain string in a file stands for both."""

    zh: Words
    en: Words

    @model_validator(mode="before")
    @classmethod
    def _both(cls, data: Any) -> Any:
        return {"zh": data, "en": data} if isinstance(data, str) else data
