"""Members by MLflow's registry: versions of registered models, named by alias or number, or found by tags."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from talaria.errors import ConfigError
from talaria.tracking.reading import FoundRun
from talaria.tracking.server import Server

ADDRESS = "models:/"
VERSION_FILTER = "versions:"
_FORM = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[\w-]+))")
_COPIED = "talaria."
_MOST_NAMES = 12

Answer = TypeVar("Answer")


class Registry:
    """The registered models of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def runs_at(self, addresses: str) -> list[FoundRun]:
        """The runs behind some versions.

        Args:
            addresses: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, separated by commas.

        Raises:
            ConfigError: naming every address that is malformed, unknown or without a run.
        """
        found, problems = [], []
        for address in [part.strip() for part in addresses.split(",") if part.strip()]:
            try:
                found.append(self._run_at(address))
            except ValueError as error:
                problems.append(f"ensemble.members: {address}: {error}; {self._what_exists()}")
        if problems:
            raise ConfigError(problems)
        return _distinct(found)

    def runs_matching(self, filter_string: str) -> list[FoundRun]:
        """The runs behind the versions that an MLflow filter matches, such as `tags.ensemble = 'yes'`.

        Raises:
            ConfigError: the filter is invalid or matches nothing, or a version is without a run.
        """
        try:
            versions = self._ask(lambda client: list(client.search_model_versions(filter_string)))
            if not versions:
                raise ValueError(f"no version matches; {self._what_exists()}")
            return _distinct([self._run_of(version) for version in versions])
        except ValueError as error:
            raise ConfigError(f"ensemble.members: {VERSION_FILTER} {filter_string}: {error}") from None

    def aliases(self) -> dict[str, list[str]]:
        """What points to each run: `name@alias` for every alias, `name/version` for versions without one."""
        models = {model.name: model for model in self._ask(lambda client: client.search_registered_models())}
        pointing: dict[str, list[str]] = {}
        for version in self._ask(lambda client: list(client.search_model_versions())):
            # Versions that a search returns never have their aliases; the model has.
            model = models.get(version.name)
            names = [
                f"{version.name}@{alias}"
                for alias, number in sorted((model.aliases if model else {}).items())
                if str(number) == str(version.version)
            ]
            pointing.setdefault(version.run_id or "", []).extend(
                names or [f"{version.name}/{version.version}"]
            )
        return pointing

    def register(self, run: FoundRun, name: str, alias: str | None = None) -> str:
        """Make a run a version of a model, unless it is one already; returns `models:/name/version`.

        Args:
            run: its model lies in its artifacts as `model/`; its tags of ours are copied to the version.
            name: of the registered model, made if need be.
            alias: moved to this version.

        Raises:
            ConfigError: MLflow does not take the name or the alias.
        """
        try:
            return self._ask(lambda client: _registered(client, run, name, alias))
        except ValueError as error:
            raise ConfigError(f"--register {run.name} {name}: {error}") from None

    def _run_at(self, address: str) -> FoundRun:
        form = _FORM.fullmatch(address)
        if form is None:
            raise ValueError(f"expected {ADDRESS}NAME@ALIAS or {ADDRESS}NAME/VERSION")
        name, alias, number = form["name"], form["alias"], form["version"]
        version = self._ask(
            lambda client: (
                client.get_model_version_by_alias(name, alias)
                if alias
                else client.get_model_version(name, number)
            )
        )
        return self._run_of(version)

    def _run_of(self, version: Any) -> FoundRun:
        address = f"{ADDRESS}{version.name}/{version.version}"
        if not version.run_id:
            raise ValueError(f"{address} was registered without a run, expected a member's run")
        return FoundRun.of(self._ask(lambda client: client.get_run(version.run_id)), address)

    def _what_exists(self) -> str:
        models = self._ask(lambda client: client.search_registered_models())
        names = sorted(str(model.name) for model in models)
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"registered models: {', '.join(names[:_MOST_NAMES]) or 'none'}{more}"

    def _ask(self, work: Callable[[Any], Answer]) -> Answer:
        return self._server.insist("look into the model registry", work)


def _registered(client: Any, run: FoundRun, name: str, alias: str | None) -> str:
    if not any(model.name == name for model in client.search_registered_models(f"name = '{name}'")):
        client.create_registered_model(name)
    there = [one for one in client.search_model_versions(f"name = '{name}'") if one.run_id == run.run_id]
    version = there[0] if there else _new_version(client, run, name)
    if alias:
        client.set_registered_model_alias(name, alias, version.version)
    return f"{ADDRESS}{name}/{version.version}"


def _new_version(client: Any, run: FoundRun, name: str) -> Any:
    tags = {key: value for key, value in run.tags.items() if key.startswith(_COPIED)}
    return client.create_model_version(
        name, source=f"runs:/{run.run_id}/model", run_id=run.run_id, tags=tags, description=run.name
    )


def _distinct(runs: list[FoundRun]) -> list[FoundRun]:
    """Each run once, however many versions lead to it."""
    return list({run.run_id: run for run in runs}.values())
