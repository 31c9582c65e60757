"""The buttons that open a chapter elsewhere point at this repository, wherever it lives."""

import subprocess

import build_book
import pytest
import yaml


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/some-one/the.book",
        "https://github.com/some-one/the.book.git\n",
        "https://github.com/some-one/the.book/",
        "git@github.com:some-one/the.book.git",
        "ssh://git@github.com/some-one/the.book.git",
    ],
)
def test_every_form_of_an_address_on_github_is_understood(address):
    assert build_book.on_github(address) == "https://github.com/some-one/the.book"


@pytest.mark.parametrize("address", ["", "/srv/git/book", "https://example.org/a/b", "https://github.com/a"])
def test_there_are_no_buttons_for_a_repository_elsewhere(address, monkeypatch):
    assert build_book.on_github(address) is None
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    answer = subprocess.CompletedProcess([], returncode=0 if address else 2, stdout=address)
    monkeypatch.setattr(build_book.subprocess, "run", lambda *_, **__: answer)
    assert build_book.repository() is None


def test_a_workflow_names_its_repository(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "some-one/book")
    assert build_book.repository() == "https://github.com/some-one/book"


def test_the_buttons_are_added_to_the_configuration():
    config = (build_book.ROOT / "_config.yml").read_text(encoding="utf-8")
    before, after = (
        yaml.safe_load(text)
        for text in (config, build_book.with_launch_buttons(config, "https://github.com/some-one/book"))
    )
    options = after["sphinx"]["config"]["html_theme_options"]
    assert options.pop("repository_url") == "https://github.com/some-one/book"
    assert options.pop("repository_branch") == "notebooks"
    assert {"binderhub_url", "colab_url"} <= options.pop("launch_buttons").keys()
    assert after["sphinx"]["config"].pop("html_baseurl") == "https://some-one.github.io/book/"
    assert after == before
