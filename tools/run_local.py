"""Starts a server and an agent on this machine, on the real clock, and stays until Ctrl-C."""

import sys
from pathlib import Path

from metering.stop_signal import StopSignal
from tools.programs import ProgramError, agent_program, run_command, server_program

ROOM = Path(".run").resolve()
GRPC_PORT, HTTP_PORT, AGENT_PORT = 4280, 8080, 4270


def enroll_once(token_file: Path, *, server_dir: Path) -> None:
    """Gives the agent its token at the first start; later starts find it in place."""
    if not token_file.exists():
        run_command(
            "billing-server",
            "agent",
            "enroll",
            "local",
            f"--token-file={token_file}",
            env={"BILLING_SERVER_DATA_DIR": str(server_dir)},
        )


def main() -> int:
    """Runs both programs; returns 0 after a clean stop."""
    ROOM.mkdir(exist_ok=True)
    server_dir, token_file = ROOM / "server", ROOM / "agent.token"
    server = server_program(server_dir, grpc_port=GRPC_PORT, http_port=HTTP_PORT)
    agent = agent_program(
        ROOM / "agent", port=AGENT_PORT, server_port=GRPC_PORT, token_file=token_file
    )
    is_over = StopSignal()
    try:
        server.start()
        enroll_once(token_file, server_dir=server_dir)
        agent.start()
        print(
            f"server: http://127.0.0.1:{HTTP_PORT} (API, /docs), gRPC 127.0.0.1:{GRPC_PORT}\n"
            f"agent:  127.0.0.1:{AGENT_PORT}\n"
            f"data and logs: {ROOM}; the admin key is in {server_dir / 'admin.key'}\n"
            "Ctrl-C stops both.",
            flush=True,
        )
        is_over.wait()
    except ProgramError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    finally:
        agent.stop()
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
