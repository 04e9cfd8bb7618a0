"""Install automations on the server: it ends runs whose process is gone, and notifies people of the ends of runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import BlockDocument, StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from flows.environment import HEARTBEAT_SECONDS
from flows.flow.flow_retries import FLOW
from pipeline.errors import ConfigurationError

ZOMBIES: Final = "deqir: end runs whose process is gone"
HEARTBEAT: Final = "prefect.flow-run.heartbeat"
SILENCE: Final = timedelta(seconds=2.5 * HEARTBEAT_SECONDS)
TOLD: Final = ("Completed", "Failed", "Crashed", "TimedOut")
ENDS: Final = (*TOLD, "Cancelled")
TEXT: Final = """\
{{ flow_run.name }}: {{ flow_run.state.name }}
{{ flow_run.state.message or "" }}
{{ flow_run|ui_url }}
"""
DATA: Final = (
    '{"run": {{ flow_run.name|tojson }}, "id": "{{ flow_run.id }}", "state": "{{ flow_run.state.name }}", '
    '"message": {{ (flow_run.state.message or "")|tojson }}, "url": "{{ flow_run|ui_url }}"}'
)


def zombies() -> AutomationCore:
    """Return the automation that marks a run as Crashed if its heartbeats stop before it has ended.

    A killed process reports nothing, so its run would stay Running for ever. After a restart the server counts the
    silence from zero.
    """
    return AutomationCore(
        name=ZOMBIES,
        description=f"Marks a run of {FLOW} as Crashed after {SILENCE.total_seconds():.0f} s without a heartbeat. The "
        "next run goes on where it stopped. Installed by deqir deploy.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": FLOW}),
            after={HEARTBEAT},
            expect={HEARTBEAT, *(f"prefect.flow-run.{end}" for end in ENDS)},
            for_each={"prefect.resource.id"},
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                force=False,
                message=f"its process was silent for {SILENCE.total_seconds():.0f} s and counts as ended; the next "
                "run goes on where it stopped",
            )
        ],
    )


def notification(deployment: str, deployment_id: UUID, block: BlockDocument) -> AutomationCore:
    """Return the automation that notifies a block of the end of each run of a deployment.

    Args:
        deployment: Name of the deployment, for people.
        deployment_id: Its id on the server.
        block: A Webhook, which gets JSON, or a notification block, which gets text.
    """
    kind = block.block_type.slug if block.block_type is not None else ""
    if kind == "webhook":
        action: CallWebhook | SendNotification = CallWebhook(block_document_id=block.id, payload=DATA)
    else:
        action = SendNotification(block_document_id=block.id, subject="deqir: {{ flow_run.state.name }}", body=TEXT)
    return AutomationCore(
        name=notification_name(deployment),
        description=f"Tells {kind}/{block.name} how each run ended. Installed by deqir deploy --notify.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {
                    "prefect.resource.role": "deployment",
                    "prefect.resource.id": f"prefect.deployment.{deployment_id}",
                }
            ),
            expect={f"prefect.flow-run.{end}" for end in TOLD},
        ),
        actions=[action],
    )


def notification_name(deployment: str) -> str:
    """Return the name of a deployment's notification automation."""
    return f"deqir: tell how {deployment} ended"


def find_block(client: SyncPrefectClient, text: str) -> BlockDocument:
    """Return the block named TYPE/NAME.

    Raises:
        ConfigurationError: The block does not exist, or the text is not TYPE/NAME.
    """
    kind, _, name = text.partition("/")
    if not kind or not name:
        raise ConfigurationError(f"--notify {text}: name a block as TYPE/NAME, such as webhook/operations")
    try:
        return client.read_block_document_by_name(name, kind)
    except ObjectNotFound as error:
        raise ConfigurationError(
            f"--notify {text}: the server has no such block; create it on the page Blocks, or as in examples/notify.py"
        ) from error


def install(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Create or update an automation on the server, and delete others of its name."""
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return
    if not same(found[0], wanted):
        client.update_automation(found[0].id, wanted)
    for other in found[1:]:
        client.delete_automation(other.id)


def remove(client: SyncPrefectClient, name: str) -> None:
    """Delete all automations of a name from the server."""
    for each in client.read_automations_by_name(name):
        client.delete_automation(each.id)


def same(one: Automation, other: AutomationCore) -> bool:
    """True if the server's automation equals the wanted automation, which is switched on."""
    fields = set(AutomationCore.model_fields)
    return one.model_dump(include=fields) == other.model_dump(include=fields)
