"""`billing-server agents show`."""

from billing_server.domain.ports.agents import DeclaredLoss, LossCause
from tests.billing_server.cli.runner import Commands


def test_an_agent_is_shown_with_its_losses(commands: Commands) -> None:
    commands.output("agent", "enroll", "host-1")
    context = commands.api.context
    with context.store.write() as unit:
        agent = unit.agents.by_name("host-1")
        assert agent is not None
        loss = DeclaredLoss(agent.agent_id, 5, 1004, context.clock.now(), LossCause.DISK_LOST)
        unit.agents.declare_loss(loss)
    shown = commands.output("agents", "show", "host-1")
    assert "lost                         1,000 events, positions 5 to 1004" in shown
    assert "came back without its buffer" in shown
    assert commands.json("agents", "show", "host-1")["lost_count"] == 1000
    assert commands.run("agents", "show", "nobody").exit_code == 1
