"""The gateway under test, in front of a demo model that misbehaves on demand."""

import os

import pytest


@pytest.fixture(scope="session")
def url() -> str:
    return os.environ["FLUXGATE_URL"]


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ["FLUXGATE_KEY"]
