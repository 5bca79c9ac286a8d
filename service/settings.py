"""Environment -> Settings: the only configuration of the service (a job's own is its JobSpec)."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from ``S2E_*``. Folders and the database default to places below ``home``."""

    model_config = SettingsConfigDict(env_prefix="S2E_", extra="ignore", hide_input_in_errors=True)

    home: Path = Path("s2e-data")
    # The URL may hold a password, so it stays out of repr and with it out of logs.
    database_url: str = Field(default="", repr=False)
    database_pool: int = Field(default=20, ge=1)
    """Most connections of one process to the database."""
    database_wait_s: float = Field(default=10.0, gt=0)
    """Longest wait for a lock or a connection; then the API answers 503 and the client asks again."""
    artifact_root: Path = Path()
    """A folder; an address that fsspec understands, such as ``s3://bucket/prefix``, becomes ``artifact_url``."""
    # It may hold a password.
    artifact_url: str = Field(default="", repr=False)
    """Where artifacts are kept instead of a folder."""
    data_root: Path | None = None
    keep_models: int | None = Field(default=None, ge=0)
    """Of a job that has ended, the models of so many best trials are kept beside those its report names. None: all."""
    keep_days: float | None = Field(default=None, gt=0)
    """Of jobs that ended longer ago, only the models that reports name are kept. None: everything."""
    keep_bytes: int | None = Field(default=None, ge=0)
    """Files of ended jobs together, at most: those that ended longest ago go first. None: no limit."""
    keep_upload_days: float = Field(default=30.0, ge=0)
    """Files that were sent, and that no registered data set and no job names, are kept for so long. 0: for ever."""

    host: str = "127.0.0.1"
    port: int = Field(default=8642, ge=0, le=65_535)
    api_key: SecretStr | None = None
    max_body_bytes: int = Field(default=262_144, ge=1)
    max_upload_bytes: int = Field(default=256 * 2**20, ge=1)
    """Of one file or archive of data that is sent; unpacked, eight times that."""
    look_s: float = Field(default=900.0, gt=0)
    """Longest look at data that are being registered."""
    max_header_bytes: int = Field(default=65_536, ge=1_024)
    """All headers of a request together."""
    receive_s: float = Field(default=20.0, gt=0)
    """Longest wait for the headers of a request, and for the next piece of its body."""

    key_rate_per_s: float = Field(default=200.0, ge=0)
    """Requests a second of one key, counted by each api process; ten times as many at once. 0: no limit."""
    owner_jobs: int = Field(default=0, ge=0)
    """Jobs of one owner that have not ended, at most. 0: no limit."""
    owner_trials: int = Field(default=0, ge=0)
    """Trials of one owner that are under way, at most; one population at least. 0: no limit."""

    max_job_trials: int = Field(default=50_000, ge=1)
    max_job_epochs: int = Field(default=5_000_000, ge=1)
    """Over all trials of a job, as the limit of trials: what one user may ask for in one request."""
    max_job_bytes: int = Field(default=2 * 10**9, ge=1)
    """In the database."""

    webhook_networks: str = ""
    """Networks or addresses, with commas between, that webhooks may reach beside public ones."""

    backend: Literal["ray", "inline", "simulated"] = "ray"
    ray_address: str | None = None
    ray_num_cpus: int | None = Field(default=None, ge=1)

    ray_namespace: str = Field(default="", max_length=100)
    """Dispatchers of one installation find each other's trainers by it. Empty: named after the database."""
    program_trials: int = Field(default=12, ge=1)
    """Most trials of populations, of one job or of several, that wait for a place and then train as one program, where
    that changes no number of theirs. 1: every population trains alone."""
    keep_trainers: bool = False
    """True: trainings go on when a dispatcher is told to end, for the next one. They end with it otherwise."""
    orphan_s: float = Field(default=3600.0, gt=0)
    """A training whose results nobody asks for ends itself after this."""
    idle_s: float = Field(default=60.0, gt=0)
    """A trainer without work ends itself after this on a cluster that was given, where others may want its place."""

    rest_s: float = Field(default=600.0, ge=0)
    """Ray of ``s2e serve``'s own ends after so long without a job, and starts again with the next one. 0: never."""

    worker_env: str = ""
    """Names of environment variables, with commas between, that trainers see beside those they need anyway."""

    lease_s: float = Field(default=4.0, gt=0)
    """A dispatcher that is silent for this long loses its jobs to another."""
    stall_s: float = Field(default=3600.0, gt=0)
    """A population that says nothing for this long is lost and tried again elsewhere; longer than any epoch."""
    poll_s: float = Field(default=0.2, gt=0)
    """Longest wait of the dispatcher for an event of the backend."""
    max_attempts: int = Field(default=3, ge=1)
    """Tries at an external trial whose program goes silent, before it fails."""

    @field_validator("webhook_networks")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in filter(None, map(str.strip, text.split(","))):
            ip_network(part, strict=False)
        return text

    @model_validator(mode="before")
    @classmethod
    def _tell_addresses(cls, values: dict[str, Any]) -> dict[str, Any]:
        root = str(values.get("artifact_root", ""))
        if "://" not in root:
            return values
        return {name: value for name, value in values.items() if name != "artifact_root"} | {"artifact_url": root}

    @model_validator(mode="after")
    def _fill_places(self) -> Self:
        self.home = self.home.expanduser().resolve()
        if not self.database_url:
            self.database_url = f"sqlite:///{self.home / 's2e.db'}"
        if "artifact_root" not in self.model_fields_set:
            self.artifact_root = self.home / "artifacts"
        self.artifact_root = self.artifact_root.expanduser().resolve()
        return self

    @property
    def artifacts(self) -> str:
        """The root of all artifacts: a folder or an address (:mod:`s2e.files`)."""
        return self.artifact_url or str(self.artifact_root)
