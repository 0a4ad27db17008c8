"""The product under the experiment: one server, its agents, each behind a proxy."""

import contextlib
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, Final

from metering import Meter, QuotaDenied
from tests.bench.programs import bench_directory
from tests.bench.quota.calls import Call
from tests.bench.quota.design import Host, Work
from tests.support.fault_proxy import Fault, FaultProxy
from tools.programs import Program, agent_program, free_port, run_command, server_program

CUSTOMER: Final = "acme"
LIMIT_KEY: Final = "tokens-a-month"
DRAIN_SECONDS: Final = 120
_CATALOG: Final = """
meters:
  - {{key: tokens, unit: token, aggregation: sum}}
plans:
  - key: metered
    currency: USD
    prices:
      - {{key: tokens, kind: usage, meter: tokens, {price}}}
    limits:
      - {{key: {key}, window: month, {terms}}}
customers:
  - {{id: {customer}, currency: USD}}
subscriptions:
  - {{id: sub-{customer}, customer: {customer}, plan: metered}}
"""


HARD: Final = 'meter: tokens, max: "{limit}", enforcement: hard'
"""A limit of tokens, `{limit}` of them, whose leases a silent agent keeps."""
FLAT: Final = 'model: per_unit, unit_price: "0.000001"'


class AgentHost:
    """A host with an agent; its callers use the SDK."""

    def __init__(self, program: Program, *, address: str, proxy: FaultProxy) -> None:
        self.program = program
        self.address = address
        self.meter = Meter(address)
        self._proxy = proxy

    def run(self, call: Call, *, work: Work) -> str | None:
        try:
            with self.meter.reserve(
                customer=CUSTOMER, quantities={"tokens": call.reserved}
            ) as reservation:
                reservation.settle({"tokens": work(call.reserved)})
        except QuotaDenied as denied:
            return denied.reason
        return None

    def cut(self, fault: Fault) -> None:
        self._proxy.fault = fault

    def heal(self) -> None:
        self._proxy.fault = Fault.NONE

    def kill(self) -> None:
        self.program.kill()
        self.program.start()


class Leases:
    """Shares of the limit are leased to agents, which answer without asking."""

    name = "leases (this product)"

    def __init__(
        self,
        *,
        host_count: int,
        agent_env: Mapping[str, str] | None = None,
        terms: str = HARD,
        price: str = FLAT,
    ) -> None:
        self._host_count = host_count
        self._terms = terms
        self._price = price
        self._agent_env = agent_env or {}
        self.agents: list[AgentHost] = []
        self._room = Path()
        self._http_port = 0
        self.hosts: list[Host] = []

    @contextlib.contextmanager
    def running(self, limit: int) -> Iterator[None]:
        """Runs the server and the agents."""
        with contextlib.ExitStack() as stack:
            self._room = stack.enter_context(bench_directory("quota"))
            grpc_port, self._http_port = free_port(), free_port()
            server = server_program(
                self._room / "server", grpc_port=grpc_port, http_port=self._http_port
            )
            server.start()
            stack.callback(server.stop)
            catalog = self._room / "catalog.yaml"
            terms = self._terms.format(limit=limit)
            catalog.write_text(
                _CATALOG.format(key=LIMIT_KEY, terms=terms, price=self._price, customer=CUSTOMER)
            )
            self._billing("apply", catalog)
            self.agents = [
                self._start_host(stack, number=number, grpc_port=grpc_port)
                for number in range(self._host_count)
            ]
            with futures.ThreadPoolExecutor(self._host_count) as pool:
                list(pool.map(lambda host: host.program.start(), self.agents))
            self.hosts = list(self.agents)
            yield
            for host in self.agents:
                host.meter.close(timeout=1)

    def _start_host(self, stack: contextlib.ExitStack, *, number: int, grpc_port: int) -> AgentHost:
        token_file = self._room / f"agent-{number}.token"
        self._billing("agent", "enroll", f"host-{number}", f"--token-file={token_file}")
        proxy = stack.enter_context(FaultProxy(grpc_port))
        port = free_port()
        program = agent_program(
            self._room / f"agent-{number}", port=port, server_port=proxy.port, token_file=token_file
        )
        program.env = self._agent_env
        stack.callback(program.stop)
        return AgentHost(program, address=f"127.0.0.1:{port}", proxy=proxy)

    def leased(self) -> Mapping[int, int]:
        """Returns what each host was granted and has not given back, as the server knows."""
        amounts: Counter[int] = Counter()
        for lease in self.view()["leases"]:
            host = int(lease["agent"].removeprefix("host-"))
            amounts[host] += int(lease["granted"]) - int(lease["returned"])
        return amounts

    def settle_all(self) -> None:
        """Waits until all agents have shipped what they hold."""
        ports = [host.program.arguments[1].rpartition(":")[2] for host in self.agents]

        def drain(port: str) -> None:
            run_command(
                "meter-agent", "drain", f"--address=127.0.0.1:{port}", f"--timeout={DRAIN_SECONDS}"
            )

        for host in self.agents:
            host.meter.flush(timeout=DRAIN_SECONDS)
        with futures.ThreadPoolExecutor(self._host_count) as pool:
            list(pool.map(drain, ports))

    def known_use(self) -> int:
        """Returns what the server knows to be used of the limit."""
        return int(self.view()["used"])

    def set_limit(self, limit: int) -> None:
        """Gives the customer a limit of its own under the same key; agents are told by the time
        this returns, or soon."""
        change = {"meter": "tokens", "window": "month", "max": str(limit), "enforcement": "hard"}
        self._ask("PUT", f"limits/{LIMIT_KEY}", change)

    def held(self) -> int:
        """Returns what reservations hold, as the agents last told the server."""
        return int(self.view()["reserved"])

    def view(self) -> dict[str, Any]:
        """Returns how the limit stands, as the API tells it."""
        views = self._ask("GET", "limits")["data"]
        [view] = [view for view in views if view["key"] == LIMIT_KEY]
        return dict(view)

    def _ask(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        key = (self._room / "server" / "admin.key").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._http_port}/v1/customers/{CUSTOMER}/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - loopback
            return dict(json.load(reply))

    def _billing(self, *words: str | Path) -> None:
        run_command(
            "billing-server",
            *words,
            env={
                "BILLING_SERVER_URL": f"http://127.0.0.1:{self._http_port}",
                "BILLING_SERVER_DATA_DIR": str(self._room / "server"),
            },
        )
