"""The client of a service, and a wrapper for your own training loop. Needs nothing but httpx.

from s2e.client import S2EClient

with S2EClient("http://127.0.0.1:8642") as client:
    job = client.submit({"search": {"n_rounds": 3}})
    print(client.wait(job.id).state, client.report(job.id).verdict)
"""

from s2e.address import DEFAULT_URL
from s2e.client.errors import ApiError, ClientError
from s2e.client.http import JobEvent, S2EClient
from s2e.client.own_loop import OwnTrial, own_trials

__all__ = ["DEFAULT_URL", "ApiError", "ClientError", "JobEvent", "OwnTrial", "S2EClient", "own_trials"]
