"""What a destination may say."""

import pytest
from pydantic import ValidationError

from cloud_sync.settings import STAND_IN_ORG, InfluxDestination

GIVEN = {"id": "district", "org": "linwei", "bucket": "schools", "token": {"secret": "influx"}}


def test_a_destination_needs_only_url_org_bucket_and_the_name_of_its_token():
    settings = InfluxDestination.model_validate({**GIVEN, "url": "https://influx.linwei.example/"})
    assert settings.url == "https://influx.linwei.example"
    assert settings.interval.total_seconds() == 5
    assert settings.max_lines == 5_000


@pytest.mark.parametrize(
    "url",
    [
        "ftp://influx.example",
        "influx.example:8086",
        "http://",
        "https://user:secret@influx.example",
        "https://influx.example/?token=abc",
        "https://influx.example:port",
    ],
)
def test_a_url_with_another_scheme_or_with_credentials_is_refused(url):
    with pytest.raises(ValidationError):
        InfluxDestination.model_validate({**GIVEN, "url": url})


@pytest.mark.parametrize(
    "change",
    [{"max_lines": 0}, {"interval": "0s"}, {"retry_min": "10m"}, {"token": "in clear"}, {"drain": 0}],
)
def test_limits_that_make_no_sense_are_refused(change):
    with pytest.raises(ValidationError):
        InfluxDestination.model_validate({**GIVEN, "url": "http://h", **change})


def test_the_stand_in_is_known_by_its_organisation():
    settings = InfluxDestination.model_validate({**GIVEN, "url": "http://127.0.0.1:1"})
    assert not settings.stand_in
    assert settings.model_copy(update={"org": STAND_IN_ORG}).stand_in
