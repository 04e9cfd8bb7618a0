"""What the server does by itself: it ends runs whose process is gone, and tells people how runs ended."""

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
ENDS: Final = ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut")
SILENCE: Final = timedelta(seconds=2.5 * HEARTBEAT_SECONDS)
WEBHOOK: Final = "webhook"
TOLD: Final = ("Completed", "Failed", "Crashed", "TimedOut")
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
    """Return the automation that marks a run Crashed when its heartbeats stop and it did not end.

    A killed process says nothing, so that its run would be Running for ever. A server that is restarted counts the
    silence anew.
    """
    return AutomationCore(
        name=ZOMBIES,
        description=f"A run of {FLOW} that was silent for {SILENCE.total_seconds():.0f} s is Crashed. Running the job "
        "again goes on where it stopped. Installed by deqir deploy.",
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
                message=f"its process was silent for {SILENCE.total_seconds():.0f} s and is taken for gone; running "
                "the job again goes on where it stopped",
            )
        ],
    )


def notification(deployment: str, deployment_id: UUID, block: BlockDocument) -> AutomationCore:
    """Return the automation that tells a block how each run of a deployment ended.

    Args:
        deployment: Its name, for people.
        deployment_id: The server's id of it.
        block: A Webhook, which is sent JSON, or one of the blocks that notify people, which are sent text.
    """
    kind = block.block_type.slug if block.block_type is not None else ""
    if kind == WEBHOOK:
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
    """Return the name of a deployment's notification."""
    return f"deqir: tell how {deployment} ended"


def find_block(client: SyncPrefectClient, text: str) -> BlockDocument:
    """Return the block that a user named as TYPE/NAME.

    Raises:
        ConfigurationError: There is none, or the text names none.
    """
    kind, _, name = text.partition("/")
    if not kind or not name:
        raise ConfigurationError(f"--notify {text}: name a block as TYPE/NAME, such as webhook/operations")
    try:
        return client.read_block_document_by_name(name, kind)
    except ObjectNotFound as error:
        raise ConfigurationError(
            f"--notify {text}: the server has no such block; make it on the page Blocks, or as examples/notify.py does"
        ) from error


def install(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Have the server hold this automation: once, switched on, as it is written here."""
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return
    if not same(found[0], wanted):
        client.update_automation(found[0].id, wanted)
    for other in found[1:]:
        client.delete_automation(other.id)


def remove(client: SyncPrefectClient, name: str) -> None:
    """Have the server hold no automation of this name."""
    for each in client.read_automations_by_name(name):
        client.delete_automation(each.id)


def same(one: Automation, other: AutomationCore) -> bool:
    """Return whether the server's automation is the one that is wanted, and switched on."""
    fields = set(AutomationCore.model_fields)
    return one.model_dump(include=fields) == other.model_dump(include=fields)
