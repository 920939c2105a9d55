"""The names of all keys and channels in Redis. PROTOCOL.md says what each holds."""

from __future__ import annotations

from typing import Final

SHARDS: Final = tuple("0123456789abcdef")
"""A task's shard is the first digit of its id, and the hash tag of its keys: a cluster spreads tasks over 16 slots."""


def scheduler_of(task_id: str, schedulers: int) -> int:
    """The number of the scheduler that a task belongs to, of so many: its shard modulo their number. Takes the digit of
    a shard too."""
    return int(task_id[0], 16) % schedulers


def shards_of(number: int, schedulers: int) -> tuple[str, ...]:
    """The digits of the shards whose tasks belong to the scheduler of this number, of so many."""
    return SHARDS[number::schedulers]


def shard_digit(delivery_id: str) -> str:
    """The shard of a delivery of a webhook: that of its task."""
    return delivery_id.removeprefix("msg_")[0]


class Keys:
    """The names under one key prefix.

    Args:
        scheduler: number of the scheduler whose keys are meant where each scheduler has its own: its heartbeat and
            lease, its recovery, its controller and fleet. Those of number 0 have no number in their names.
    """

    def __init__(self, prefix: str, scheduler: int = 0) -> None:
        self.prefix = prefix
        self._suffix = f":{scheduler}" if scheduler else ""

    def of_scheduler(self, number: int) -> Keys:
        """The names under this key prefix, with those of the scheduler of this number."""
        return Keys(self.prefix, number)

    def shard(self, task_id: str) -> str:
        """The prefix of the keys of a task."""
        return self.shard_prefix(task_id[0])

    def shard_prefix(self, digit: str) -> str:
        """The prefix of the keys of a shard."""
        return f"{self.prefix}:{{{self.prefix}:{digit}}}"

    def record_key(self, task_id: str) -> str:
        return f"{self.shard(task_id)}:task:{task_id}"

    def events_key(self, task_id: str) -> str:
        """The newest events of a task."""
        return f"{self.shard(task_id)}:events:{task_id}"

    def log_key(self, task_id: str) -> str:
        """The newest lines that a task has printed or logged."""
        return f"{self.shard(task_id)}:logs:{task_id}"

    def children_key(self, task_id: str, submitted_at: int) -> str:
        """The ids of the tasks that a run of a task has submitted, in their order."""
        return f"{self.shard(task_id)}:children:{task_id}:{submitted_at}"

    def versions_key(self, name: str) -> str:
        """The versions of a task type that api nodes have served."""
        return f"{self.prefix}:versions:{name}"

    @property
    def drains_key(self) -> str:
        """The workers of a scheduler that operators asked to drain, until the controller has stopped them."""
        return f"{self.prefix}:drains{self._suffix}"

    def index_key(self, digit: str, state: str | None, name: str | None, tenant: str | None = None) -> str:
        """The list of a shard's tasks, newest last, filtered by what is given."""
        base = f"{self.shard_prefix(digit)}:index" + (f":t:{tenant}" if tenant else "")
        if name and state:
            return f"{base}:n:{name}:s:{state}"
        if name:
            return f"{base}:n:{name}"
        return f"{base}:s:{state}" if state else f"{base}:*"

    def usage_key(self, digit: str) -> str:
        """What the tasks of each account use in a shard."""
        return f"{self.shard_prefix(digit)}:usage"

    def ends_key(self, digit: str, minute: int) -> str:
        """How many tasks of a shard ended in a minute (minutes since 1970), and how."""
        return f"{self.shard_prefix(digit)}:ends:{minute}"

    def delivery_key(self, delivery_id: str) -> str:
        """A delivery of a webhook."""
        return f"{self._delivery_shard(delivery_id)}:delivery:{delivery_id}"

    def due_deliveries_key(self, delivery_id: str) -> str:
        """The deliveries of a shard that are not done, and when each is due."""
        return f"{self._delivery_shard(delivery_id)}:deliveries"

    def deliveries_of_key(self, digit: str, account: str) -> str:
        """The deliveries of an account in a shard."""
        return f"{self.shard_prefix(digit)}:delivery_list:{account}"

    def _delivery_shard(self, delivery_id: str) -> str:
        return self.shard_prefix(shard_digit(delivery_id))

    def probe_key(self, node: str) -> str:
        """The key that a node writes to test whether Redis accepts writes."""
        return f"{self.prefix}:{{{self.prefix}:probe}}:{node}"

    def rate_key(self, caller: str) -> str:
        """A caller's token bucket."""
        return f"{self.prefix}:{{{self.prefix}:rate}}:{caller}"

    def node_channel(self, node: str) -> str:
        """The channel on which an api node receives notifications of the tasks that it watches."""
        return f"{self.prefix}:node:{node}"

    @property
    def all_channel(self) -> str:
        """The channel of all api nodes: 'due' (open tasks wait to be dispatched), 'epoch' (a new scheduler),
        'woken' (held tasks may have room), 'paused' (a task type was paused or resumed)."""
        return f"{self.prefix}:all"

    @property
    def scheduler_key(self) -> str:
        """The running scheduler's epoch, address and release."""
        return f"{self.prefix}:scheduler{self._suffix}"

    @property
    def scheduler_lease_key(self) -> str:
        """The lease of the scheduler that serves; others wait for it."""
        return f"{self.prefix}:scheduler_lease{self._suffix}"

    @property
    def recoverer_key(self) -> str:
        """The lease of the node that recovers the tasks of a scheduler."""
        return f"{self.prefix}:recoverer{self._suffix}"

    @property
    def swept_key(self) -> str:
        """The last scheduler epoch for which every open task was checked: time and epoch."""
        return f"{self.prefix}:swept{self._suffix}"

    @property
    def recovered_key(self) -> str:
        """When a round of recovery last completed, milliseconds since 1970 by Redis's clock."""
        return f"{self.prefix}:recovered{self._suffix}"

    @property
    def pruner_key(self) -> str:
        """The lease of the node that removes expired tasks from the lists."""
        return f"{self.prefix}:pruner"

    @property
    def pruned_key(self) -> str:
        """When a round of pruning last completed, milliseconds since 1970 by Redis's clock."""
        return f"{self.prefix}:pruned"

    @property
    def blob_deleter_key(self) -> str:
        """The lease of the node that deletes the blobs of expired tasks."""
        return f"{self.prefix}:blob_deleter"

    @property
    def slot_lease_key(self) -> str:
        """The lease of the node that claims held tasks when their limits have room."""
        return f"{self.prefix}:slot_claimer"

    @property
    def claimers_key(self) -> str:
        """How many claimers of held tasks there have been; the newest has this number."""
        return f"{self.prefix}:claimers"

    @property
    def paused_key(self) -> str:
        """The paused task types: name -> when it was paused, milliseconds since 1970."""
        return f"{self.prefix}:paused"

    @property
    def controller_key(self) -> str:
        """The lease of the active controller."""
        return f"{self.prefix}:controller{self._suffix}"

    @property
    def fleet_key(self) -> str:
        """The controller's latest observation and decision."""
        return f"{self.prefix}:fleet{self._suffix}"

    @property
    def demand_key(self) -> str:
        """How many workers each pool needed in each minute of the last three weeks."""
        return f"{self.prefix}:demand"

    @property
    def history_key(self) -> str:
        """The history of the last day, by minutes and by blocks of ten minutes."""
        return f"{self.prefix}:history"

    @property
    def history_keeper_key(self) -> str:
        """The lease of the node that keeps the history."""
        return f"{self.prefix}:history_keeper"

    @property
    def costs_key(self) -> str:
        """What the workers cost on each day, and when that was last added up."""
        return f"{self.prefix}:costs{self._suffix}"

    def busy_key(self, day: str) -> str:
        """How long tasks of each type ran on a day (YYYY-MM-DD, UTC)."""
        return f"{self.prefix}:busy:{day}"

    @property
    def launches_key(self) -> str:
        """The journal of the launches that controllers requested from a platform."""
        return f"{self.prefix}:launches{self._suffix}"

    @property
    def api_keys_key(self) -> str:
        """The API keys, by id."""
        return f"{self.prefix}:keys"

    @property
    def audit_key(self) -> str:
        """The audit log, a stream."""
        return f"{self.prefix}:audit"

    @property
    def tenants_key(self) -> str:
        """The tenants' policies, by account."""
        return f"{self.prefix}:tenants"

    @property
    def webhooks_key(self) -> str:
        """The registered webhooks by id, and the generations of the accounts' secrets."""
        return f"{self.prefix}:webhooks"

    @property
    def webhook_sender_key(self) -> str:
        """The lease of the node that delivers webhooks."""
        return f"{self.prefix}:webhook_sender"

    @property
    def schedules_key(self) -> str:
        """The schedules, by tenant and name."""
        return f"{self.prefix}:schedules"

    @property
    def schedule_runner_key(self) -> str:
        """The lease of the node that submits what is scheduled."""
        return f"{self.prefix}:schedule_runner"

    @property
    def salt_key(self) -> str:
        """The root secret (root_secret.py)."""
        return f"{self.prefix}:salt"

    @property
    def task_token_secret_key(self) -> str:
        """The secret that signs task tokens, unless TASK_TOKEN_SECRETS is set."""
        return f"{self.prefix}:token_secret"

    @property
    def revoked_tokens_key(self) -> str:
        """The task tokens that were revoked one by one, by the seconds at which they would have ended."""
        return f"{self.prefix}:revoked_tokens"
