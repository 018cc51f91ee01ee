"""Descriptions of registered models and versions: written, kept where somebody changed them."""

import logging

import pytest

from headrace.tracking.descriptions import describe_registered_model, describe_version
from headrace.tracking.store import Store, open_client


def test_models_and_versions_are_described(store: Store) -> None:
    client = open_client(store)
    client.create_registered_model("m")
    client.create_model_version("m", f"{store.artifacts}/m")

    def read() -> tuple[str, str]:
        version = client.get_model_version("m", "1")
        return str(client.get_registered_model("m").description), str(version.description)

    describe_registered_model(store, "m", "of s3://me:pw@lake")
    describe_version(store, "m", 1, "trained")
    assert read() == ("of s3://***@lake", "trained")
    describe_version(store, "m", 1, "judged")
    describe_registered_model(store, "m", "again")
    assert read() == ("again", "judged")
    client.update_registered_model("m", "ours, ask Ann")
    client.update_model_version("m", "1", "shipped")
    describe_version(store, "m", 1, "judged again")
    describe_registered_model(store, "m", "once more")
    assert read() == ("ours, ask Ann", "shipped")


def test_a_description_that_is_refused_ends_no_training(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    open_client(store)
    with caplog.at_level(logging.WARNING, "headrace"):
        describe_version(store, "nowhere", 3, "trained")
    assert "version 3 of model nowhere has no description, MLflow refused it" in caplog.text
