"""Who may do what (spec 8). Pure: every rule is a function of the caller and of what is asked for.

Machines edit, start and view; admins may everything. Members start what a trigger's permissions grant them, and
see a workflow when they may start it or when everybody may view its runs.
"""

from dataclasses import dataclass
from typing import Literal

from headrace.core.definition import Definition, Permissions, SelfServeTrigger
from headrace.core.json import JsonObject

ADMIN = "Admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. `id` is what runs and versions show as `createdBy`; `expires_at` (s) ends the token."""

    id: str
    client_id: str
    kind: Literal["machine", "user"]
    email: str = ""
    roles: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    expires_at: int = 0

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    @property
    def is_operator(self) -> bool:
        """Admins and machines: nothing is hidden from them."""
        return self.is_admin or self.kind == "machine"


def may_edit(principal: Principal) -> bool:
    """Definitions are changed by admins and machines (spec 8.4)."""
    return principal.is_operator


def why_not_start(principal: Principal, permissions: Permissions | None, unrestricted: bool = False) -> str | None:
    """Why the caller may not start a trigger, or None when it may (spec 8.2).

    `unrestricted` opens triggers without permissions to everybody. A policy that this release cannot evaluate
    grants nobody anything: a form 2 policy takes the decision away from roles, users and teams.
    """
    if principal.is_admin:
        return None
    granted = _is_granted(principal, permissions)
    if permissions is not None and permissions.policy:
        if granted and not _decides_alone(permissions.policy):
            return None
        return "Its permissions hold a policy, and this release does not evaluate policies: only admins may start it."
    if principal.kind == "machine" or granted:
        return None
    if permissions is None or not (permissions.roles or permissions.users or permissions.teams):
        if unrestricted:
            return None
        return (
            "It has no permissions, so only admins and machines may start it. "
            'Add "permissions" to the trigger\'s config: roles, users or teams that may.'
        )
    return f"You have none of what it asks for: {_asked(permissions)}. You have: {_owned(principal)}."


def may_start(principal: Principal, permissions: Permissions | None, unrestricted: bool = False) -> bool:
    return why_not_start(principal, permissions, unrestricted) is None


def may_see(principal: Principal, definition: Definition, open_runs: bool, unrestricted: bool = False) -> bool:
    """Whether a workflow is shown to the caller: startable by it, or anybody may view its runs."""
    if principal.is_operator or open_runs:
        return True
    return any(
        _is_shown(principal, node.config, unrestricted)
        for node in definition.triggers
        if isinstance(node.config, SelfServeTrigger)
    )


def may_view_run(principal: Principal, created_by: str, open_runs: bool) -> bool:
    """The creator, everybody if the workflow says so, admins and machines (spec 8.3)."""
    return principal.is_operator or open_runs or created_by == principal.id


def may_report(principal: Principal) -> bool:
    """Node runs are reported on by workers, which are machines, and by admins (spec 7.5)."""
    return principal.is_operator


def why_not_respond(principal: Principal, responders: JsonObject) -> str | None:
    """Why the caller may not press a button of an INPUT node that names responders; None when it may (spec 5.1).

    Whoever is named by user, role or team may, and admins. `usersQuery` is not evaluated, and names nobody.
    """
    named = Permissions(_texts(responders, "roles"), _texts(responders, "users"), _texts(responders, "teams"))
    if principal.is_admin or _is_granted(principal, named):
        return None
    asked = _asked(named) or "users that this release cannot look up (usersQuery)"
    return f"It waits for {asked}. You have: {_owned(principal)}."


def may_cancel(principal: Principal, created_by: str) -> bool:
    """Runs are cancelled by who started them, by admins and machines."""
    return principal.is_operator or created_by == principal.id


def _is_shown(principal: Principal, trigger: SelfServeTrigger, unrestricted: bool) -> bool:
    if not trigger.published:
        return False
    permissions = trigger.permissions
    if permissions is not None and permissions.policy and _decides_alone(permissions.policy):
        return _is_granted(principal, permissions)
    return may_start(principal, permissions, unrestricted)


def _decides_alone(policy: JsonObject) -> bool:
    """Form 2 (queries and conditions): roles, users and teams then say who sees the trigger, not who may start it."""
    return "queries" in policy or "conditions" in policy


def _is_granted(principal: Principal, permissions: Permissions | None) -> bool:
    if permissions is None:
        return False
    users = {user.casefold() for user in permissions.users}
    return (
        bool(principal.roles.intersection(permissions.roles))
        or bool(principal.teams.intersection(permissions.teams))
        or principal.id.casefold() in users
        or bool(principal.email and principal.email.casefold() in users)
    )


def _texts(owner: JsonObject, name: str) -> tuple[str, ...]:
    listed = owner.get(name)
    return tuple(it for it in listed if isinstance(it, str)) if isinstance(listed, list) else ()


def _asked(permissions: Permissions) -> str:
    parts = [
        f"{what} {' or '.join(names)}"
        for what, names in (("role", permissions.roles), ("team", permissions.teams), ("user", permissions.users))
        if names
    ]
    return "; ".join(parts)


def _owned(principal: Principal) -> str:
    roles = ", ".join(sorted(principal.roles)) or "none"
    teams = ", ".join(sorted(principal.teams)) or "none"
    return f"roles {roles}; teams {teams}"
